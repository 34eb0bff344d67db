// Small valid checkpoints with random damage. Opening one either gives a catalog whose invariants
// hold, or throws an Error of one line; nothing else, and no allocation out of proportion.
#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <functional>
#include <new>
#include <random>

#include "sharding/checkpoint/catalog.h"
#include "tests/sharding/checkpoint/catalog_invariants.h"
#include "tests/sharding/checkpoint/header_writers.h"
#include "tests/sharding/memory_files.h"
#include "tests/sharding/one_line.h"
#include "tests/support/cases.h"

namespace {

std::atomic<std::size_t> largest_allocation{0};

}  // namespace

// Not inlined: GCC would take the pair of free() and operator new for a mismatch.
[[gnu::noinline]] void* operator new(std::size_t bytes) {
  if (bytes > largest_allocation) largest_allocation = bytes;
  void* memory = std::malloc(bytes == 0 ? 1 : bytes);
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}
[[gnu::noinline]] void operator delete(void* memory) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }

namespace initrt {
namespace {

using testing::gguf_string;
using testing::GgufWriter;
using testing::MemoryFiles;
using testing::raw;

using Rng = std::mt19937_64;

constexpr std::size_t kMaxAllocation = 1u << 20;  // the files have about one KiB

std::string small_gguf() {
  GgufWriter writer;
  writer.text("general.architecture", "llama")
      .u32("general.alignment", 32)
      .u32("llama.embedding_length", 32)
      .u32("llama.feed_forward_length", 64)
      .u32("llama.block_count", 1)
      .u32("llama.attention.head_count", 4)
      .u32("llama.context_length", 128)
      .pair("llama.rope.freq_base", testing::kF32, raw(10000.0f))
      .pair("tokenizer.ggml.tokens", testing::kArray,
            raw<std::uint32_t>(testing::kString) + raw<std::uint64_t>(3) + gguf_string("a") +
                gguf_string("b") + gguf_string("c"))
      .tensor("token_embd.weight", {32, 3}, testing::kGgmlQ4_1, 0)
      .tensor("blk.0.attn_norm.weight", {32}, testing::kGgmlF32, 64)
      .tensor("blk.0.attn_q.weight", {32, 2}, testing::kGgmlBF16, 192);
  return writer.file(320);
}

std::string small_safetensors() {
  return testing::safetensors_file(
      R"({"__metadata__": {"format": "pt"},)"
      R"("model.embed_tokens.weight": {"dtype": "BF16", "shape": [3, 8], "data_offsets": [0, 48]},)"
      R"("model.norm.weight": {"dtype": "F32", "shape": [8], "data_offsets": [48, 80]},)"
      R"("lm_head.weight": {"dtype": "F16", "shape": [3, 8], "data_offsets": [80, 128]}})",
      128);
}

std::string small_index() {
  return R"({"metadata": {"total_size": 128}, "weight_map": {)"
         R"("model.embed_tokens.weight": "weights.safetensors",)"
         R"("model.norm.weight": "weights.safetensors",)"
         R"("lm_head.weight": "weights.safetensors"}})";
}

/// One to four damages: a bit, a byte, a whole number, a piece cut out, doubled or cut off.
std::string damage(Rng& rng, std::string bytes) {
  constexpr std::uint64_t kNumbers[] = {0,          1,          0x7fffffff, 0xffffffff,
                                        1ull << 32, 1ull << 62, ~0ull,      ~0ull - 31};
  const std::uint64_t times = 1 + rng() % 4;
  for (std::uint64_t i = 0; i < times && bytes.size() > 8; ++i) {
    const std::size_t at = rng() % bytes.size();
    const std::size_t length = std::min<std::size_t>(1 + rng() % 16, bytes.size() - at);
    switch (rng() % 7) {
      case 0:
        bytes[at] = static_cast<char>(bytes[at] ^ (1 << rng() % 8));
        break;
      case 1:
        bytes[at] = static_cast<char>(rng());
        break;
      case 2:
        bytes[at] = static_cast<char>('0' + rng() % 10);
        break;
      case 3:
        bytes.replace(at, 8, raw(kNumbers[rng() % 8]));
        break;
      case 4:
        bytes.erase(at, length);
        break;
      case 5:
        bytes.insert(at, bytes.substr(at, length));
        break;
      default:
        bytes.resize(at);
    }
  }
  return bytes;
}

struct Outcome {
  int opened = 0, refused = 0;
};

/// Opens `path` for `rounds` damages of the file `target`.
Outcome fuzz(MemoryFiles files, const std::string& path, const std::string& target, int rounds) {
  const std::string whole = files.content.at(target);
  Outcome outcome;
  Rng rng(1);
  for (int round = 0; round < rounds; ++round) {
    files.content[target] = damage(rng, whole);
    largest_allocation = 0;
    try {
      const Catalog catalog = open_checkpoint(files, path);
      ++outcome.opened;
      EXPECT_EQ(testing::broken_invariant(catalog, files), "");
    } catch (const Error& error) {
      ++outcome.refused;
      EXPECT_TRUE(testing::is_one_line(error.what())) << error.what();
      EXPECT_NE(std::string_view(error.what()).find(path), std::string_view::npos) << error.what();
    } catch (const std::exception& other) {
      ADD_FAILURE() << "round " << round << ": " << other.what();
    }
    EXPECT_LE(largest_allocation, kMaxAllocation) << "round " << round;
    if (::testing::Test::HasFailure()) break;
  }
  return outcome;
}

TEST(HeaderFuzz, DamagedGgufIsReadOrRefused) {
  MemoryFiles files;
  files.content["m.gguf"] = small_gguf();
  ASSERT_NO_THROW((void)open_checkpoint(files, "m.gguf"));
  const int rounds = testing::cases(20'000);
  const Outcome outcome = fuzz(files, "m.gguf", "m.gguf", rounds);
  EXPECT_GT(outcome.opened, rounds / 40);
  EXPECT_GT(outcome.refused, rounds / 4);
}

TEST(HeaderFuzz, DamagedSafetensorsAreReadOrRefused) {
  MemoryFiles files;
  files.content["m.safetensors"] = small_safetensors();
  ASSERT_NO_THROW((void)open_checkpoint(files, "m.safetensors"));
  const int rounds = testing::cases(20'000);
  const Outcome outcome = fuzz(files, "m.safetensors", "m.safetensors", rounds);
  EXPECT_GT(outcome.opened, rounds / 40);
  EXPECT_GT(outcome.refused, rounds / 4);
}

TEST(HeaderFuzz, ADamagedIndexIsReadOrRefused) {
  MemoryFiles files;
  // Without its index nothing tells which of the two counts.
  files.content["d/copy.safetensors"] = small_safetensors();
  files.content["d/weights.safetensors"] = small_safetensors();
  files.content["d/model.safetensors.index.json"] = small_index();
  ASSERT_NO_THROW((void)open_checkpoint(files, "d"));
  const int rounds = testing::cases(10'000);
  const Outcome outcome = fuzz(files, "d", "d/model.safetensors.index.json", rounds);
  EXPECT_GT(outcome.opened, rounds / 100);
  EXPECT_GT(outcome.refused, rounds / 2);
}

}  // namespace
}  // namespace initrt
