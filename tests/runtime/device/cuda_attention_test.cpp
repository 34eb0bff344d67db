// Attention against a softmax in double, and bit for bit against itself in whatever company, order
// and chunks rows come.
#include <algorithm>
#include <numeric>
#include <utility>

#include "tests/runtime/device/cuda_support.h"

namespace initrt::test {
namespace {

using Order = std::vector<std::size_t>;

/// Every row of some sequences, with a KV cache that holds NaN where nothing has been stored.
struct Case {
  AttentionShape shape;
  DType dtype = DType::F32;
  std::uint32_t context = 0;
  std::vector<RowInfo> rows;
  std::vector<float> q, k, v;

  [[nodiscard]] std::size_t q_columns() const { return shape.heads * shape.head_size; }
  [[nodiscard]] std::size_t kv_columns() const { return shape.kv_heads * shape.head_size; }
};

/// The KV cache of a case, on the device.
class Cache {
 public:
  explicit Cache(const Case& c, std::size_t misaligned = 0)
      : k_(empty(c), misaligned),
        v_(empty(c), misaligned),
        view{k_.get(), v_.get(), c.dtype, c.context} {}

 private:
  static std::vector<std::byte> empty(const Case& c) {
    std::uint32_t sequences = 0;
    for (const RowInfo& row : c.rows) sequences = std::max(sequences, row.sequence + 1);
    return std::vector<std::byte>(
        bytes_of(c.dtype, std::uint64_t{sequences} * c.context * c.kv_columns()), std::byte{0xff});
  }
  Guarded<std::byte> k_, v_;

 public:
  KvView view;
};

std::vector<float> pick(const std::vector<float>& from, const Order& rows, std::size_t columns) {
  std::vector<float> picked;
  for (const std::size_t row : rows) {
    const auto values = part(from, row * columns, columns);
    picked.insert(picked.end(), values.begin(), values.end());
  }
  return picked;
}

std::vector<RowInfo> pick_rows(const Case& c, const Order& rows) {
  std::vector<RowInfo> picked;
  for (const std::size_t row : rows) picked.push_back(c.rows[row]);
  return picked;
}

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

Order all_of(const Case& c) {
  Order order(c.rows.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  return order;
}

class CudaAttention : public CudaKernels {
 protected:
  /// @param lengths of each sequence
  Case make(const AttentionShape& shape, DType dtype, const std::vector<std::uint32_t>& lengths) {
    Case c{.shape = shape,
           .dtype = dtype,
           .context = std::ranges::max(lengths) + 1,
           .rows = {},
           .q = {},
           .k = {},
           .v = {}};
    for (std::uint32_t s = 0; s < lengths.size(); ++s) {
      for (std::uint32_t p = 0; p < lengths[s]; ++p) c.rows.push_back({s, p, lengths[s]});
    }
    c.q = random(c.rows.size() * c.q_columns());
    c.k = random(c.rows.size() * c.kv_columns());
    c.v = random(c.rows.size() * c.kv_columns());
    return c;
  }

  /// One head of one row, in double. @param first the row of its sequence's position 0
  static std::vector<double> expected(const Case& c, std::size_t row, std::size_t first,
                                      std::size_t head) {
    const std::size_t size = c.shape.head_size;
    const std::size_t kv = head / (c.shape.heads / c.shape.kv_heads);
    const float* const q = c.q.data() + (row * c.shape.heads + head) * size;
    const std::size_t begin =
        c.shape.window == 0 || row - first < c.shape.window ? first : row + 1 - c.shape.window;
    std::vector<double> weights;
    for (std::size_t j = begin; j <= row; ++j) {
      const float* const k = c.k.data() + (j * c.shape.kv_heads + kv) * size;
      double score = 0;
      for (std::size_t i = 0; i < size; ++i) {
        score += static_cast<double>(q[i]) * rounded(k[i], c.dtype);
      }
      score *= c.shape.scale;
      const double cap = c.shape.softcap;
      weights.push_back(cap != 0 ? cap * std::tanh(score / cap) : score);
    }
    const double largest = std::ranges::max(weights);
    double sum = 0;
    for (double& weight : weights) sum += weight = std::exp(weight - largest);
    std::vector<double> out(size);
    for (std::size_t j = begin; j <= row; ++j) {
      const float* const v = c.v.data() + (j * c.shape.kv_heads + kv) * size;
      for (std::size_t i = 0; i < size; ++i) {
        out[i] += weights[j - begin] / sum * rounded(v[i], c.dtype);
      }
    }
    return out;
  }
};

TEST_F(CudaAttention, AgreesWithASoftmaxInDouble) {
  // Every kernel there is by head size; groups of one head to more than a block takes.
  for (const AttentionShape shape :
       {AttentionShape{9, 3, 64, 0.125f}, AttentionShape{4, 4, 7, 0.4f},
        AttentionShape{20, 1, 17, 0.25f}, AttentionShape{4, 1, 32, 0.2f},
        AttentionShape{7, 1, 80, 0.11f}, AttentionShape{2, 2, 96, 0.1f},
        AttentionShape{8, 1, 112, 0.1f}, AttentionShape{5, 1, 128, 0.09f, 2.0f},
        AttentionShape{4, 2, 192, 0.07f, 0.0f, 70}, AttentionShape{9, 1, 256, 0.0625f},
        AttentionShape{4, 2, 24, 0.3f, 0.0f, 1}, AttentionShape{3, 3, 16, 0.3f, 1.5f, 64},
        AttentionShape{3, 1, 512, 0.04f}, AttentionShape{2, 1, 264, 0.06f}}) {
    for (const DType dtype : dtypes) {
      const Case c = make(shape, dtype, {3, 150});
      const Cache cache(c);
      const Order order = {0, 2, 3, 3 + 63, 3 + 64, 3 + 70, 3 + 128, 3 + 149};
      store(c, all_of(c), cache);
      const auto out = attend(c, order, cache);
      for (std::size_t i = 0; i < order.size(); ++i) {
        for (std::size_t head = 0; head < shape.heads; ++head) {
          const auto reference = expected(c, order[i], order[i] < 3 ? 0 : 3, head);
          for (std::size_t d = 0; d < shape.head_size; ++d) {
            // Values are of order 1 and their weights sum to 1; scores carry 1e-6.
            ASSERT_NEAR(out[i * c.q_columns() + head * shape.head_size + d], reference[d], 2e-5)
                << name(dtype) << ", heads of " << shape.head_size << ", row " << order[i];
          }
        }
      }
    }
  }
}

TEST_F(CudaAttention, LongContextsPassThroughAllWarps) {
  const Case c = make({2, 1, 32, 0.2f}, DType::BF16, {2200});
  const Cache cache(c);
  store(c, all_of(c), cache);
  const Order order = {1023, 1024, 2199};
  const auto out = attend(c, order, cache);
  for (std::size_t i = 0; i < order.size(); ++i) {
    for (std::size_t head = 0; head < 2; ++head) {
      const auto reference = expected(c, order[i], 0, head);
      for (std::size_t d = 0; d < 32; ++d) {
        ASSERT_NEAR(out[i * 64 + head * 32 + d], reference[d], 1e-5);
      }
    }
  }
}

TEST_F(CudaAttention, ChunksHaveTheBitsOfTheWholePrompt) {
  // So many rows and heads that up to four rows share a block.
  for (const auto& [shape, dtype] :
       {std::pair{AttentionShape{16, 8, 64, 0.125f}, DType::BF16},
        std::pair{AttentionShape{8, 8, 128, 0.1f, 5.0f, 50}, DType::F16},
        std::pair{AttentionShape{8, 8, 192, 0.1f, 0.0f, 64}, DType::F32}}) {
    const std::size_t length = 140;
    const Case c = make(shape, dtype, {length});
    const Cache whole(c);
    store(c, all_of(c), whole);
    const auto expected_bits = attend(c, all_of(c), whole);
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
  store(c, all_of(c), cache);
  const auto together = attend(c, all_of(c), cache);
  for (std::size_t row = 0; row < c.rows.size(); row += 1 + below(20)) {
    EXPECT_TRUE(
        same_bits(attend(c, {row}, cache), part(together, row * c.q_columns(), c.q_columns())));
  }
  Order order = all_of(c);
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
    store(c, all_of(c), cache);
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
  store(c, all_of(c), cache);
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
      store(changed, all_of(changed), cache);
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

TEST_F(CudaAttention, NanAndInfinityOfWhatIsSeenAreSeen) {
  Case c = make({2, 2, 64, 0.125f}, DType::F16, {70});
  c.k[3 * c.kv_columns()] = NAN;            // head 0
  c.v[5 * c.kv_columns() + 64] = INFINITY;  // head 1, element 0
  const Cache cache(c);
  store(c, all_of(c), cache);
  const auto out = attend(c, all_of(c), cache);
  for (std::size_t row = 0; row < 70; ++row) {
    const float* const heads = out.data() + row * c.q_columns();
    EXPECT_EQ(std::isnan(heads[10]), row >= 3) << row;
    EXPECT_EQ(std::isinf(heads[64]), row >= 5) << row;
    EXPECT_TRUE(std::isfinite(heads[65]));
  }
}

TEST_F(CudaAttention, ACacheOfOddAlignmentHasTheSameBits) {
  for (const AttentionShape shape :
       {AttentionShape{4, 2, 64, 0.125f}, AttentionShape{3, 1, 128, 0.1f},
        AttentionShape{2, 1, 256, 0.1f}, AttentionShape{2, 1, 272, 0.1f}}) {
    for (const DType dtype : dtypes) {
      const Case c = make(shape, dtype, {90});
      const Order order = {0, 40, 63, 64, 89};
      const Cache aligned(c);
      const Cache misaligned(c, bytes_of(dtype, 1));
      store(c, all_of(c), aligned);
      store(c, all_of(c), misaligned);
      EXPECT_TRUE(same_bits(attend(c, order, aligned), attend(c, order, misaligned)))
          << name(dtype) << " " << shape.head_size;
    }
  }
}

TEST_F(CudaAttention, LargerHeadsAreRefused) {
  const Case c = make({1, 1, 520, 0.1f}, DType::F32, {1});
  const Cache cache(c);
  EXPECT_THROW(attend(c, {0}, cache), Error);
}

}  // namespace
}  // namespace initrt::test
