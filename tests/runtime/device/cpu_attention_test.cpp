// The KV cache and attention against a softmax in double, and bit for bit against themselves in
// whatever company and order the rows come.
#include <gmock/gmock.h>

#include <algorithm>

#include "sharding/error.h"
#include "tests/runtime/device/cpu_support.h"

namespace initrt::test {
namespace {

/// A KV cache with its own storage, first filled with NaN: nothing may read what was not stored.
struct Cache {
  Cache(DType dtype, std::size_t sequences, const AttentionShape& shape, std::uint32_t context)
      : k(bytes_of(dtype, sequences * shape.kv_heads * context * shape.head_size), std::byte{0xff}),
        v(k),
        view{k.data(), v.data(), dtype, context} {}
  std::vector<std::byte> k, v;
  KvView view;
};

/// Every row's q, k and v of `sequences` sequences of `length` positions.
struct Rows {
  std::vector<RowInfo> infos;
  std::vector<float> q, k, v;
};

class CpuAttention : public CpuTest {
 protected:
  Rows make_rows(std::uint32_t sequences, std::uint32_t length, const AttentionShape& shape) {
    Rows rows;
    for (std::uint32_t s = 0; s < sequences; ++s) {
      for (std::uint32_t p = 0; p < length; ++p) rows.infos.push_back({s, p});
    }
    rows.q = random(rows.infos.size() * shape.heads * shape.head_size);
    rows.k = random(rows.infos.size() * shape.kv_heads * shape.head_size);
    rows.v = random(rows.infos.size() * shape.kv_heads * shape.head_size);
    return rows;
  }

  /// Stores and attends the rows `order[begin, end)` in one call; results go to their own places.
  static void step(DeviceOps& device, const Rows& rows, const std::vector<std::size_t>& order,
                   std::size_t begin, std::size_t end, const AttentionShape& shape, Cache& cache,
                   std::vector<float>& out) {
    const std::size_t q_columns = shape.heads * shape.head_size;
    const std::size_t kv_columns = shape.kv_heads * shape.head_size;
    Rows some;
    for (std::size_t i = begin; i < end; ++i) {
      const std::size_t row = order[i];
      const auto append = [row](std::vector<float>& to, const std::vector<float>& from,
                                std::size_t columns) {
        to.insert(to.end(), from.begin() + row * columns, from.begin() + (row + 1) * columns);
      };
      some.infos.push_back(rows.infos[row]);
      append(some.q, rows.q, q_columns);
      append(some.k, rows.k, kv_columns);
      append(some.v, rows.v, kv_columns);
    }
    std::vector<float> result(some.q.size());
    device.set_rows(some.infos, {});
    device.store_kv(some.k.data(), some.v.data(), shape, cache.view);
    device.attention(some.q.data(), shape, cache.view, result.data());
    for (std::size_t i = begin; i < end; ++i) {
      std::copy_n(result.data() + (i - begin) * q_columns, q_columns,
                  out.data() + order[i] * q_columns);
    }
  }

  static std::vector<std::size_t> in_order(const Rows& rows) {
    std::vector<std::size_t> order(rows.infos.size());
    for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
    return order;
  }

  static std::vector<float> whole(DeviceOps& device, const Rows& rows, std::uint32_t sequences,
                                  const AttentionShape& shape, DType dtype, std::uint32_t context) {
    Cache cache(dtype, sequences, shape, context);
    std::vector<float> out(rows.q.size());
    step(device, rows, in_order(rows), 0, rows.infos.size(), shape, cache, out);
    return out;
  }
};

TEST_P(CpuAttention, AgreesWithASoftmaxInDouble) {
  const auto cpu = device(2);
  for (const DType dtype : dtypes) {
    for (const AttentionShape shape :
         {AttentionShape{9, 3, 64, 0.125f}, AttentionShape{4, 4, 7, 0.4f},
          AttentionShape{20, 1, 17, 0.25f}, AttentionShape{8, 2, 80, 0.11f},
          AttentionShape{6, 2, 20, 0.5f, 2.0f}, AttentionShape{4, 2, 20, 0.3f, 0.0f, 70},
          AttentionShape{4, 1, 16, 0.3f, 1.5f, 1}, AttentionShape{3, 3, 16, 0.3f, 0.0f, 64}}) {
      const std::uint32_t length = 150, sequences = 2;
      auto rows = make_rows(sequences, length, shape);
      const auto out = whole(*cpu, rows, sequences, shape, dtype, length + 3);
      (void)stored(rows.k, dtype);
      (void)stored(rows.v, dtype);
      const std::size_t size = shape.head_size;
      for (std::size_t r = 0; r < rows.infos.size(); r += 1 + below(5)) {
        const std::size_t first = rows.infos[r].sequence * length;
        for (std::size_t h = 0; h < shape.heads; ++h) {
          const std::size_t kv = h / (shape.heads / shape.kv_heads);
          const float* q = rows.q.data() + (r * shape.heads + h) * size;
          std::vector<double> p;
          const std::size_t begin =
              shape.window == 0 || r - first < shape.window ? first : r + 1 - shape.window;
          for (std::size_t j = begin; j <= r; ++j) {
            const float* k = rows.k.data() + (j * shape.kv_heads + kv) * size;
            double score = 0;
            for (std::size_t i = 0; i < size; ++i) score += static_cast<double>(q[i]) * k[i];
            score *= shape.scale;
            if (shape.softcap != 0) score = shape.softcap * std::tanh(score / shape.softcap);
            p.push_back(score);
          }
          const double largest = *std::max_element(p.begin(), p.end());
          double sum = 0;
          for (double& x : p) sum += x = std::exp(x - largest);
          for (std::size_t i = 0; i < size; ++i) {
            double expected = 0;
            for (std::size_t j = 0; j < p.size(); ++j) {
              expected += p[j] / sum * rows.v[((begin + j) * shape.kv_heads + kv) * size + i];
            }
            // Values are of order 1 and their weights sum to 1; scores carry 1e-6.
            ASSERT_NEAR(out[(r * shape.heads + h) * size + i], expected, 2e-5)
                << name(dtype) << " row " << r << " head " << h << " element " << i;
          }
        }
      }
    }
  }
}

TEST_P(CpuAttention, ChunkedPrefillEqualsWholePrefillBitwise) {
  const auto cpu = device(2);
  for (const AttentionShape shape :
       {AttentionShape{9, 3, 64, 0.125f}, AttentionShape{4, 2, 32, 0.2f, 5.0f, 50}}) {
    for (const DType dtype : dtypes) {
      const auto rows = make_rows(1, 200, shape);
      const auto expected = whole(*cpu, rows, 1, shape, dtype, 200);
      for (const std::size_t chunk : {1, 7, 64, 199}) {
        Cache cache(dtype, 1, shape, 200);
        std::vector<float> out(rows.q.size());
        for (std::size_t begin = 0; begin < 200; begin += chunk) {
          step(*cpu, rows, in_order(rows), begin, std::min<std::size_t>(begin + chunk, 200), shape,
               cache, out);
        }
        EXPECT_TRUE(same_bits(out, expected)) << name(dtype) << " chunks of " << chunk;
      }
    }
  }
}

TEST_P(CpuAttention, MixedSequencesEqualEachAloneBitwise) {
  const auto cpu = device(2);
  const AttentionShape shape{6, 2, 20, 0.2f};
  const std::uint32_t sequences = 3, length = 90;
  const auto rows = make_rows(sequences, length, shape);
  const auto expected = whole(*cpu, rows, sequences, shape, DType::BF16, length);
  // Position by position over all sequences, some calls taking several positions.
  auto order = in_order(rows);
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    return rows.infos[a].position < rows.infos[b].position;
  });
  Cache cache(DType::BF16, sequences, shape, length);
  std::vector<float> out(rows.q.size());
  for (std::size_t begin = 0; begin < order.size();) {
    const std::size_t end = std::min(begin + 1 + below(20), order.size());
    step(*cpu, rows, order, begin, end, shape, cache, out);
    begin = end;
  }
  EXPECT_TRUE(same_bits(out, expected));
}

TEST_P(CpuAttention, ThreadsDoNotChangeABit) {
  const AttentionShape shape{8, 4, 32, 0.18f};
  const auto rows = make_rows(2, 70, shape);
  const auto one = whole(*device(1), rows, 2, shape, DType::F16, 70);
  for (const unsigned threads : {2, 3}) {
    EXPECT_TRUE(same_bits(one, whole(*device(threads), rows, 2, shape, DType::F16, 70)));
  }
}

TEST_P(CpuAttention, NanReachesOnlyRowsThatSeeIt) {
  const auto cpu = device(2);
  const AttentionShape shape{2, 1, 16, 0.25f};
  auto rows = make_rows(1, 80, shape);
  const auto clean = whole(*cpu, rows, 1, shape, DType::F32, 80);
  for (const bool in_keys : {true, false}) {
    auto poisoned = rows;
    (in_keys ? poisoned.k : poisoned.v)[70 * 16] = std::numeric_limits<float>::quiet_NaN();
    const auto out = whole(*cpu, poisoned, 1, shape, DType::F32, 80);
    EXPECT_EQ(std::memcmp(out.data(), clean.data(), 70 * 32 * sizeof(float)), 0);
    for (std::size_t r = 70; r < 80; ++r) EXPECT_TRUE(std::isnan(out[r * 32]));
  }
}

TEST_P(CpuAttention, LargeScoresDoNotOverflow) {
  const auto cpu = device();
  const AttentionShape shape{1, 1, 4, 1.0f};
  auto rows = make_rows(1, 100, shape);
  for (float& x : rows.q) x *= 1000;
  for (const float x : whole(*cpu, rows, 1, shape, DType::F32, 100)) {
    EXPECT_TRUE(std::isfinite(x));
  }
}

TEST_P(CpuAttention, WrongArgumentsAreErrors) {
  const auto cpu = device();
  std::vector<float> x(2048);
  const AttentionShape shape{2, 1, 4, 1.0f};
  Cache cache(DType::F32, 1, shape, 8);
  const std::vector<RowInfo> outside = {{0, 8}};
  cpu->set_rows(outside, {});
  EXPECT_THAT(
      [&] { cpu->attention(x.data(), shape, cache.view, x.data()); },
      testing::ThrowsMessage<Error>(
          "cpu attention: position 8 of sequence 0 is outside of a KV cache of 8 positions"));
  EXPECT_THAT([&] { cpu->store_kv(x.data(), x.data(), shape, cache.view); },
              testing::ThrowsMessage<Error>(testing::HasSubstr("cpu store_kv: position 8")));
  const std::vector<RowInfo> rows(1);
  cpu->set_rows(rows, {});
  EXPECT_THAT(
      [&] {
        cpu->attention(x.data(), {3, 2, 4, 1.0f}, cache.view, x.data());
      },
      testing::ThrowsMessage<Error>(testing::HasSubstr("3 heads over 2 KV heads")));
  EXPECT_THAT(
      [&] {
        cpu->attention(x.data(), {1, 1, 513, 1.0f}, cache.view, x.data());
      },
      testing::ThrowsMessage<Error>(testing::HasSubstr("heads of 513 elements")));
  cache.view.dtype = DType::I8;
  EXPECT_THAT([&] { cpu->store_kv(x.data(), x.data(), shape, cache.view); },
              testing::ThrowsMessage<Error>(testing::HasSubstr("cpu store_kv: dtype I8")));
}

INSTANTIATE_TEST_SUITE_P(, CpuAttention, testing::ValuesIn(supported_sets()), set_name);

}  // namespace
}  // namespace initrt::test
