// GGUF's block types against the gguf package's dequantize(), bit by bit.
#include <gtest/gtest.h>

#include <cstring>
#include <vector>

#include "runtime/convert/convert.h"
#include "runtime/convert/decode.h"
#include "runtime/storage/local_files.h"
#include "sharding/checkpoint/catalog.h"
#include "tests/support/source_path.h"

namespace initrt {
namespace {

struct Reference {
  std::vector<std::byte> blocks;
  std::vector<std::uint32_t> values;  ///< bits of float32
};

Reference reference_for(DType type) {
  LocalFiles files;
  const std::string path = testing::source_path("tests/golden/gguf_blocks/blocks.safetensors");
  const Catalog catalog = open_checkpoint(files, path);
  const auto read = [&](const char* part) {
    const TensorEntry& tensor =
        catalog.tensors.at(static_cast<std::size_t>(catalog.find(std::string(name(type)) + part)));
    return files.read(path, tensor.parts[0].offset, tensor.bytes());
  };
  Reference reference;
  reference.blocks = read(".blocks");
  const std::vector<std::byte> values = read(".values");
  reference.values.resize(values.size() / 4);
  std::memcpy(reference.values.data(), values.data(), values.size());
  return reference;
}

template <DType Type>
void expect_reference() {
  const Reference reference = reference_for(Type);
  const std::uint64_t elements = info(Type).block_elements;
  const std::uint64_t blocks = reference.blocks.size() / info(Type).block_bytes;
  ASSERT_GE(blocks, 9u);
  ASSERT_EQ(reference.values.size(), blocks * elements);
  std::vector<std::uint32_t> got(reference.values.size());
  // The kernel of this machine's instruction set.
  convert(reference.blocks, Type, 0, got.size(), reinterpret_cast<std::byte*>(got.data()),
          DType::F32);
  for (std::size_t i = 0; i < got.size(); ++i) {
    ASSERT_EQ(got[i], reference.values[i]) << name(Type) << ", element " << i;
  }
  // The same code for the instruction set that every machine has.
  std::vector<float> portable(elements);
  for (std::uint64_t block = 0; block < blocks; ++block) {
    decode::block<Type>(reference.blocks.data() + block * info(Type).block_bytes, portable.data());
    EXPECT_EQ(std::memcmp(portable.data(), reference.values.data() + block * elements,
                          elements * sizeof(float)),
              0)
        << name(Type) << ", block " << block;
  }
}

TEST(ConvertGolden, Q4_0) { expect_reference<DType::Q4_0>(); }
TEST(ConvertGolden, Q4_1) { expect_reference<DType::Q4_1>(); }
TEST(ConvertGolden, Q5_0) { expect_reference<DType::Q5_0>(); }
TEST(ConvertGolden, Q5_1) { expect_reference<DType::Q5_1>(); }
TEST(ConvertGolden, Q8_0) { expect_reference<DType::Q8_0>(); }
TEST(ConvertGolden, Q2_K) { expect_reference<DType::Q2_K>(); }
TEST(ConvertGolden, Q3_K) { expect_reference<DType::Q3_K>(); }
TEST(ConvertGolden, Q4_K) { expect_reference<DType::Q4_K>(); }
TEST(ConvertGolden, Q5_K) { expect_reference<DType::Q5_K>(); }
TEST(ConvertGolden, Q6_K) { expect_reference<DType::Q6_K>(); }
TEST(ConvertGolden, IQ4_NL) { expect_reference<DType::IQ4_NL>(); }
TEST(ConvertGolden, MXFP4) { expect_reference<DType::MXFP4>(); }

}  // namespace
}  // namespace initrt
