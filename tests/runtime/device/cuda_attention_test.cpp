// Attention kernels bit for bit against themselves, where rows share blocks of threads and spans
// are shared out among them.
#include <algorithm>
#include <numeric>
#include <utility>

#include "tests/runtime/device/attention_case.h"
#include "tests/runtime/device/cuda_support.h"

namespace initrt::test {
namespace {

/// The KV cache of a case, on the device.
class Cache {
 public:
  explicit Cache(const Case& c, std::size_t misaligned = 0)
      : k_(c.empty_cache(), misaligned),
        v_(c.empty_cache(), misaligned),
        view{k_.get(), v_.get(), c.dtype, c.context, c.ring} {}

 private:
  Guarded<std::byte> k_, v_;

 public:
  KvView view;
};

void store(const Case& c, const Order& order, const Cache& cache) {
  const Guarded infos(pick_rows(c, order));
  const Guarded k(pick(c.k, order, c.kv_columns()));
  const Guarded v(pick(c.v, order, c.kv_columns()));
  cuda::store_kv(nullptr, k.get(), v.get(), infos.get(), order.size(), c.shape, cache.view);
}

/// All rows in one call. @param scratch_bytes what it may use to share spans out among blocks
/// @returns their results, in their order
std::vector<float> attend(const Case& c, const Order& order, const Cache& cache,
                          std::size_t scratch_bytes = 1 << 20) {
  const Guarded infos(pick_rows(c, order));
  const Guarded q(pick(c.q, order, c.q_columns()));
  const Guarded out{std::vector<float>(order.size() * c.q_columns())};
  const Guarded scratch{std::vector<std::byte>(scratch_bytes, std::byte{0xff})};
  cuda::attention(nullptr, q.get(), infos.get(), order.size(), c.shape, cache.view, out.get(),
                  {scratch.get(), scratch_bytes});
  return out.read();
}

class CudaAttention : public CudaKernels {
 protected:
  Case make(const AttentionShape& shape, DType dtype, const std::vector<std::uint32_t>& lengths) {
    return make_case(*this, shape, dtype, lengths);
  }
};

TEST_F(CudaAttention, ChunksHaveTheBitsOfTheWholePrompt) {
  // So many rows and heads that up to four rows share a block.
  for (const auto& [shape, dtype] :
       {std::pair{AttentionShape{16, 8, 64, 0.125f}, DType::BF16},
        std::pair{AttentionShape{8, 8, 128, 0.1f, 5.0f, 50}, DType::F16},
        std::pair{AttentionShape{8, 8, 192, 0.1f, 0.0f, 64}, DType::F32}}) {
    const std::size_t length = 140;
    const Case c = make(shape, dtype, {length});
    const Cache whole(c);
    store(c, c.all(), whole);
    const auto expected_bits = attend(c, c.all(), whole);
    for (const std::size_t chunk : {9, 129}) {
      const Cache cache(c);
      std::vector<float> out;
      for (std::size_t begin = 0; begin < length; begin += chunk) {
        Order order(std::min(chunk, length - begin));
        std::iota(order.begin(), order.end(), begin);
        store(c, order, cache);
        const auto some = attend(c, order, cache);
        out.insert(out.end(), some.begin(), some.end());
      }
      EXPECT_TRUE(same_bits(out, expected_bits))
          << name(dtype) << ", heads of " << shape.head_size << ", chunks of " << chunk;
    }
  }
}

TEST_F(CudaAttention, ARowHasTheSameBitsInAnyCompany) {
  // Up to eight rows of a block, of one sequence or of several.
  const Case c = make({16, 16, 64, 0.125f}, DType::BF16, {70, 1, 64, 3});
  const Cache cache(c);
  store(c, c.all(), cache);
  const auto together = attend(c, c.all(), cache);
  for (std::size_t row = 0; row < c.rows.size(); row += 1 + below(20)) {
    EXPECT_TRUE(
        same_bits(attend(c, {row}, cache), part(together, row * c.q_columns(), c.q_columns())));
  }
  Order order = c.all();
  for (std::size_t i = order.size(); i > 1; --i) std::swap(order[i - 1], order[below(i)]);
  EXPECT_TRUE(same_bits(attend(c, order, cache), pick(together, order, c.q_columns())));
}

TEST_F(CudaAttention, SpansHaveTheSameBitsInOneBlockAndInMany) {
  // Rows at the edges of spans of 1024 positions, and windows that end within one.
  for (const auto& [shape, dtype] :
       {std::pair{AttentionShape{4, 2, 32, 0.2f}, DType::BF16},
        std::pair{AttentionShape{3, 1, 24, 0.2f, 5.0f, 1100}, DType::F16},
        std::pair{AttentionShape{2, 2, 264, 0.1f, 0.0f, 40}, DType::F32}}) {
    const Case c = make(shape, dtype, {2100, 1025});
    const Cache cache(c);
    store(c, c.all(), cache);
    const Order order = {0, 2099, 2048, 1023, 1024, 2047, 2099 + 1, 2100 + 1024, 2064};
    const auto in_one_block = attend(c, order, cache, 0);
    // For each head of a row at most three spans: their values, largest scores and sums.
    const std::size_t row_bytes = shape.heads * 3 * (shape.head_size + 2) * 4;
    for (const std::size_t scratch : {row_bytes / 4, row_bytes, 4 * row_bytes, 9 * row_bytes}) {
      EXPECT_TRUE(same_bits(attend(c, order, cache, scratch), in_one_block))
          << name(dtype) << ", " << scratch << " bytes of scratch";
    }
    for (std::size_t i = 0; i < order.size(); ++i) {
      EXPECT_TRUE(same_bits(attend(c, {order[i]}, cache),
                            part(in_one_block, i * c.q_columns(), c.q_columns())))
          << name(dtype) << ", row " << order[i];
    }
  }
}

TEST_F(CudaAttention, RowsThatShareABlockShareItsSpans) {
  // So many that three rows share a block, on both sides of position 1024.
  const Case c = make({8, 8, 32, 0.2f, 0.0f, 1050}, DType::BF16, {1130});
  const Cache cache(c);
  store(c, c.all(), cache);
  Order order(130);
  std::iota(order.begin(), order.end(), std::size_t{1000});
  const auto together = attend(c, order, cache);
  for (const std::size_t i : {0, 22, 23, 24, 25, 26, 27, 50, 51, 129}) {
    EXPECT_TRUE(
        same_bits(attend(c, {order[i]}, cache), part(together, i * c.q_columns(), c.q_columns())))
        << "row " << order[i];
  }
}

TEST_F(CudaAttention, WhatARowDoesNotSeeIsNotTouched) {
  // Row 100 sees positions 70 to 100. Others may hold anything, where a row of its block sees them.
  const AttentionShape shape{16, 16, 32, 0.18f, 0.0f, 31};
  for (const DType dtype : dtypes) {
    Case c = make(shape, dtype, {131});
    const auto bits = [](const Case& changed) {
      const Cache cache(changed);
      store(changed, changed.all(), cache);
      Order order(70);  // rows 60 to 129, four to a block
      std::iota(order.begin(), order.end(), std::size_t{60});
      return part(attend(changed, order, cache), 40 * changed.q_columns(), changed.q_columns());
    };
    const auto expected_bits = bits(c);
    Case changed = c;
    for (const std::size_t row : {69, 101, 102, 130, 2}) {
      const auto begin = static_cast<std::ptrdiff_t>(row * c.kv_columns());
      std::fill_n(changed.k.begin() + begin, c.kv_columns(), NAN);
      std::fill_n(changed.v.begin() + begin, c.kv_columns(), row % 2 == 0 ? INFINITY : NAN);
    }
    EXPECT_TRUE(same_bits(bits(changed), expected_bits)) << name(dtype);
    c.v[70 * c.kv_columns()] += 1;
    EXPECT_FALSE(same_bits(bits(c), expected_bits)) << name(dtype);
  }
}

TEST_F(CudaAttention, ACacheOfOddAlignmentHasTheSameBits) {
  for (const AttentionShape& shape :
       {AttentionShape{4, 2, 64, 0.125f}, AttentionShape{3, 1, 128, 0.1f},
        AttentionShape{2, 1, 256, 0.1f}, AttentionShape{2, 1, 272, 0.1f}}) {
    for (const DType dtype : dtypes) {
      const Case c = make(shape, dtype, {90});
      const Order order = {0, 40, 63, 64, 89};
      const Cache aligned(c);
      const Cache misaligned(c, bytes_of(dtype, 1));
      store(c, c.all(), aligned);
      store(c, c.all(), misaligned);
      EXPECT_TRUE(same_bits(attend(c, order, aligned), attend(c, order, misaligned)))
          << name(dtype) << " " << shape.head_size;
    }
  }
}

}  // namespace
}  // namespace initrt::test
