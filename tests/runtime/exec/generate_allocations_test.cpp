// Decoding allocates nothing from sweep to sweep: buffers live as long as the call.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <new>

#include "tests/golden/family_checkpoint.h"
#include "tests/runtime/exec/answers.h"
#include "tests/support/source_path.h"

namespace {

thread_local std::size_t allocations = 0;

}  // namespace

// Not inlined: GCC would take the pair of free() and operator new for a mismatch.
[[gnu::noinline]] void* operator new(std::size_t bytes) {
  ++allocations;
  void* memory = std::malloc(bytes == 0 ? 1 : bytes);
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}
// As std::stable_sort() allocates.
[[gnu::noinline]] void* operator new(std::size_t bytes, const std::nothrow_t&) noexcept {
  ++allocations;
  return std::malloc(bytes == 0 ? 1 : bytes);
}
[[gnu::noinline]] void operator delete(void* memory) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }

namespace initrt::testing {
namespace {

using ::testing::Each;
using ::testing::IsEmpty;
using ::testing::Le;
using ::testing::Pointwise;

constexpr std::uint32_t kBatch = 2, kTokens = 20;
constexpr std::size_t kDecoding =
    12;  // sweeps that are looked at: prompts are in, none is done yet

// Of the last decoding sweeps, on rank 0: what each allocated. Four prompts, of which two wait.
std::vector<std::size_t> allocations_of(const OpenModel& model, const Setting& setting) {
  std::vector<Prompt> prompts;
  for (std::uint32_t i = 0; i < 2 * kBatch * setting.world; ++i) {
    prompts.push_back({i, {static_cast<TokenId>(i + 1), 3, 5, 7}, kTokens});
  }
  std::vector<std::size_t> marks;
  marks.reserve(1000);
  EXPECT_THAT(run_world(model, setting,
                        [&](std::uint32_t rank, RankModel& instance) {
                          instance.instance().finish_loading();
                          GenerateOptions options;
                          options.prefill_chunk = static_cast<std::uint32_t>(setting.sweep_rows);
                          if (rank == 0) {
                            options.stop_asked = [&] {
                              marks.push_back(allocations);
                              return 0u;
                            };
                          }
                          (void)generate(instance.engine(), prompts, kBatch, options, {},
                                         [](auto) {});
                        }),
              Each(IsEmpty()));
  std::vector<std::size_t> each;
  for (std::size_t sweep = kTokens - 1 - kDecoding; sweep + 1 < kTokens; ++sweep) {
    each.push_back(marks.at(sweep + 1) - marks[sweep]);
  }
  return each;
}

// Over mapped memory, whose communicator allocates nothing by itself.
Setting decoding(Move move) {
  Setting setting;
  setting.world = 2;
  setting.transport = Transport::Mapped;
  setting.move = move;
  setting.sequences = setting.logit_rows = kBatch;
  return setting;
}

TEST(Allocations, OfADecodingSweepAreNone) {
  const SmallCheckpoint checkpoint;
  const OpenModel model = open_checkpoint_as(checkpoint.directory.path(), "32-true");
  for (const Move move : {Move::Weights, Move::Activations}) {
    EXPECT_THAT(allocations_of(model, decoding(move)), Each(0)) << name(move);
  }
}

// Choosing them allocates on either way.
TEST(Allocations, OfExpertsWhoseRowsMoveAreNoMoreThanOfGatheredOnes) {
  const TemporaryDirectory directory;
  write_family_checkpoint(source_path("tests/golden/families/mixtral"), directory.path());
  const OpenModel model = open_checkpoint_as(directory.path(), "32-true");
  EXPECT_THAT(allocations_of(model, decoding(Move::Activations)),
              Pointwise(Le(), allocations_of(model, decoding(Move::Weights))));
}

}  // namespace
}  // namespace initrt::testing
