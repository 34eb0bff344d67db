// The KV cache and attention of every device against a softmax in double, and bit for bit against
// themselves in whatever company, order and chunks rows come.
#include <gmock/gmock.h>

#include <algorithm>
#include <numeric>

#include "sharding/error.h"
#include "tests/runtime/device/attention_case.h"
#include "tests/runtime/device/devices.h"

namespace initrt::test {
namespace {

/// The KV cache of a case on a device, which holds NaN where nothing has been stored.
class Cache {
 public:
  Cache(OnDevice& device, const Case& c)
      : device_(device),
        case_(c),
        k_(device.put(c.empty_cache())),
        v_(device.put(c.empty_cache())),
        sinks_(device.put(c.sinks)),
        shape_(c.shape),
        view{k_.get(), v_.get(), c.dtype, c.context, c.ring} {
    if (!c.sinks.empty()) shape_.sinks = reinterpret_cast<const std::byte*>(sinks_.get());
    if (c.shape.value_size != 0) view.v = nullptr;
  }

  /// Stores these rows and attends them in one call. @returns their results, in their order
  std::vector<float> run(const Order& order) {
    store(order);
    return attend(order);
  }
  void store(const Order& order) {
    set_rows(order);
    const auto k = device_.put(pick(case_.k, order, case_.kv_columns()));
    const auto v = device_.put(pick(case_.v, order, case_.kv_columns()));
    device_->store_kv(k.get(), v.get(), shape_, view);
    device_->synchronize();
  }
  std::vector<float> attend(const Order& order) {
    set_rows(order);
    const auto q = device_.put(pick(case_.q, order, case_.q_columns()));
    const auto out = device_.put(std::vector<float>(order.size() * case_.out_columns()));
    device_->attention(q.get(), shape_, view, out.get());
    return device_.get(out);
  }

 private:
  void set_rows(const Order& order) {
    device_.make_scratch(DType::F32, order.size(), 1);
    device_->set_rows(pick_rows(case_, order), {});
  }

  OnDevice& device_;
  const Case& case_;
  Placed<std::byte> k_, v_;
  Placed<float> sinks_;
  AttentionShape shape_;

 public:
  KvView view;
};

std::size_t first_seen(const AttentionShape& shape, std::size_t position) {
  if (shape.window == 0 || position < shape.window) return 0;
  return shape.chunks ? position / shape.window * shape.window : position + 1 - shape.window;
}

/// What ALiBi adds to a score of `head`, in double.
double bias_of(const Alibi& alibi, std::size_t head, std::size_t key, std::size_t query) {
  if (alibi.exponent == 0) return 0;
  const double rate = alibi_rate(alibi, static_cast<std::uint32_t>(head));
  const auto at = [&](std::size_t position) {
    const auto p = static_cast<double>(position);
    if (!alibi.rounded) return p * rate;
    const double near = rounded(static_cast<float>(p), DType::BF16);
    return double{rounded(static_cast<float>(near * rate), DType::BF16)};
  };
  return (at(key) - at(query)) * alibi.scale;
}

/// One head of one row, in double. @param first the row of its sequence's position 0
std::vector<double> expected(const Case& c, std::size_t row, std::size_t first, std::size_t head) {
  const std::size_t size = c.shape.head_size;
  const std::size_t kv = head / (c.shape.heads / c.shape.kv_heads);
  const float* const q = c.q.data() + (row * c.shape.heads + head) * size;
  const std::size_t begin = first + first_seen(c.shape, row - first);
  std::vector<double> weights;
  for (std::size_t j = begin; j <= row; ++j) {
    const float* const k = c.k.data() + (j * c.shape.kv_heads + kv) * size;
    double score = 0;
    for (std::size_t i = 0; i < size; ++i) {
      score += static_cast<double>(q[i]) * rounded(k[i], c.dtype);
    }
    score *= c.shape.scale;
    const double cap = c.shape.softcap;
    score = cap != 0 ? cap * std::tanh(score / cap) : score;
    weights.push_back(score + bias_of(c.shape.alibi, head, j - first, row - first));
  }
  double largest = std::ranges::max(weights), sum = 0;
  if (!c.sinks.empty()) {
    largest = std::max(largest, double{c.sinks[head]});
    sum = std::exp(c.sinks[head] - largest);
  }
  for (double& weight : weights) sum += weight = std::exp(weight - largest);
  const bool latent = c.shape.value_size != 0;
  std::vector<double> out(c.shape.value());
  for (std::size_t j = begin; j <= row; ++j) {
    const float* const v = (latent ? c.k : c.v).data() + (j * c.shape.kv_heads + kv) * size;
    for (std::size_t i = 0; i < out.size(); ++i) {
      out[i] += weights[j - begin] / sum * rounded(v[i], c.dtype);
    }
  }
  return out;
}

/// @param out what rows `order` got
void expect_softmax(const Case& c, const Order& order, const std::vector<float>& out,
                    double tolerance) {
  const std::size_t size = c.shape.value();
  for (std::size_t i = 0; i < order.size(); ++i) {
    const std::size_t first = order[i] - c.rows[order[i]].position;
    for (std::size_t head = 0; head < c.shape.heads; ++head) {
      const auto reference = expected(c, order[i], first, head);
      for (std::size_t d = 0; d < size; ++d) {
        ASSERT_NEAR(out[i * c.out_columns() + head * size + d], reference[d], tolerance)
            << name(c.dtype) << ", heads of " << c.shape.head_size << ", row " << order[i]
            << ", head " << head;
      }
    }
  }
}

class DeviceAttention : public DeviceTest {
 protected:
  Case make(const AttentionShape& shape, DType dtype, const std::vector<std::uint32_t>& lengths) {
    return make_case(*this, shape, dtype, lengths);
  }
};
INSTANTIATE_TEST_SUITE_P(, DeviceAttention, testing::ValuesIn(all_devices()), device_name);

TEST_P(DeviceAttention, AgreesWithASoftmaxInDouble) {
  auto device = this->device();
  std::size_t turn = 0;
  // Every kernel there is by head size; groups of one head to more than a block of threads takes.
  for (const AttentionShape& shape :
       {AttentionShape{9, 3, 64, 0.125f}, AttentionShape{4, 4, 7, 0.4f},
        AttentionShape{20, 1, 17, 0.25f}, AttentionShape{4, 1, 32, 0.2f},
        AttentionShape{8, 2, 80, 0.11f}, AttentionShape{7, 1, 80, 0.11f},
        AttentionShape{2, 2, 96, 0.1f}, AttentionShape{8, 1, 112, 0.1f},
        AttentionShape{5, 1, 128, 0.09f, 2.0f}, AttentionShape{6, 2, 20, 0.5f, 2.0f},
        AttentionShape{4, 2, 20, 0.3f, 0.0f, 70}, AttentionShape{4, 1, 16, 0.3f, 1.5f, 1},
        AttentionShape{4, 2, 192, 0.07f, 0.0f, 70}, AttentionShape{9, 1, 256, 0.0625f},
        AttentionShape{4, 2, 24, 0.3f, 0.0f, 1}, AttentionShape{3, 3, 16, 0.3f, 1.5f, 64},
        AttentionShape{3, 1, 512, 0.04f}, AttentionShape{2, 1, 264, 0.06f}}) {
    for (const DType dtype : dtypes_in_turn(turn++)) {
      const Case c = make(shape, dtype, {3, 150});
      Cache cache(device, c);
      Order order = {0, 2, 3, 3 + 63, 3 + 64, 3 + 70, 3 + 128, 3 + 149};
      for (int i = 0; i < 4; ++i) order.push_back(below(c.rows.size()));
      cache.store(c.all());
      const auto out = cache.attend(order);
      // Values are of order 1 and their weights sum to 1; scores carry 1e-6.
      ASSERT_NO_FATAL_FAILURE(expect_softmax(c, order, out, 2e-5));
    }
  }
}

TEST_P(DeviceAttention, SinksCountInTheSumAlone) {
  auto device = this->device();
  for (const AttentionShape& shape :
       {AttentionShape{6, 2, 64, 0.2f}, AttentionShape{4, 1, 20, 0.3f, 0.0f, 9}}) {
    for (const std::uint32_t length : {5u, 150u, 1100u}) {
      Case c = make(shape, DType::BF16, {length});
      c.sinks = random(shape.heads, 3.0f);
      c.sinks[0] = -200.0f;
      Cache cache(device, c);
      cache.store(c.all());
      const Order order = {0, 1, length - 1};
      const auto out = cache.attend(order);
      ASSERT_NO_FATAL_FAILURE(expect_softmax(c, order, out, 2e-5));
    }
  }
}

TEST_P(DeviceAttention, BiasesFallWithTheDistanceOfAKey) {
  auto device = this->device();
  // Of 6 heads two lie between those of 4; slow rates, so that far keys count.
  for (const AttentionShape& shape :
       {AttentionShape{6, 6, 16, 0.25f}, AttentionShape{8, 2, 20, 0.3f, 0.0f, 70}}) {
    for (const bool rounded : {false, true}) {
      Case c = make(shape, DType::BF16, {1200});
      c.shape.alibi = alibi_of(shape.heads, 12.0f);
      c.shape.alibi.scale = 0.5f;
      c.shape.alibi.rounded = rounded;
      Cache cache(device, c);
      cache.store(c.all());
      const Order order = {0, 1, 63, 64, 300, 511, 1023, 1024, 1199};
      const auto out = cache.attend(order);
      ASSERT_NO_FATAL_FAILURE(expect_softmax(c, order, out, 2e-5));
    }
  }
}

// Values are the first elements of keys, all heads share them, and keys are wide.
TEST_P(DeviceAttention, LatentValuesAgreeWithASoftmaxInDouble) {
  auto device = this->device();
  for (const AttentionShape& shape :
       {AttentionShape{20, 1, 576, 0.04f, 0.0f, 0, 512},
        AttentionShape{3, 1, 20, 0.25f, 0.0f, 0, 12}, AttentionShape{5, 1, 48, 0.25f, 0.0f, 0, 32},
        AttentionShape{5, 1, 48, 0.25f, 0.0f, 0, 40}}) {
    for (const DType dtype : dtypes) {
      const Case c = make(shape, dtype, {3, 90});
      Cache cache(device, c);
      cache.store(c.all());
      const Order order = {0, 2, 3, 3 + 63, 3 + 64, 3 + 89};
      const auto out = cache.attend(order);
      ASSERT_NO_FATAL_FAILURE(expect_softmax(c, order, out, 2e-5));
    }
  }
}

TEST_P(DeviceAttention, ChunksAreSeenByTheirOwnRowsAlone) {
  auto device = this->device();
  for (const std::uint32_t window : {30u, 64u, 150u, 1100u}) {
    Case c = make({4, 2, 32, 0.2f, 0.0f, window}, DType::BF16, {1200});
    c.shape.chunks = true;
    Cache cache(device, c);
    cache.store(c.all());
    const Order order = {0, 29, 30, 63, 64, 65, 149, 150, 1023, 1024, 1099, 1100, 1199};
    const auto out = cache.attend(order);
    ASSERT_NO_FATAL_FAILURE(expect_softmax(c, order, out, 2e-5));
  }
}

TEST_P(DeviceAttention, ARingOfWhatAWindowSeesHasTheBitsOfAWholeCache) {
  auto device = this->device();
  const std::size_t length = 210;  // the largest ring holds 192
  for (const auto& [window, chunks] :
       {std::pair{1u, false}, {30u, false}, {64u, false}, {65u, false}, {30u, true}, {65u, true}}) {
    Case c = make({2, 2, 32, 0.2f, 0.0f, window}, DType::BF16, {length});
    c.shape.chunks = chunks;
    const auto whole = Cache(device, c).run(c.all());
    // Row by row is many launches: with the widest windows alone.
    for (const std::size_t chunk : {1, 37, 65}) {
      if (chunk == 1 && window != 65) continue;
      c.ring = true;
      c.context = static_cast<std::uint32_t>((window - 1 + 63 + chunk + 63) / 64 * 64);
      Cache cache(device, c);
      std::vector<float> out;
      for (std::size_t begin = 0; begin < length; begin += chunk) {
        Order order(std::min(chunk, length - begin));
        std::iota(order.begin(), order.end(), begin);
        const auto some = cache.run(order);
        out.insert(out.end(), some.begin(), some.end());
      }
      EXPECT_TRUE(same_bits(out, whole)) << "window " << window << ", chunks of " << chunk;
    }
  }
}

TEST_P(DeviceAttention, AgreesWithASoftmaxInDoubleOverLongContexts) {
  auto device = this->device();
  for (const AttentionShape& shape :
       {AttentionShape{2, 1, 32, 0.2f}, AttentionShape{3, 1, 48, 0.2f, 0.0f, 0, 32}}) {
    const Case c = make(shape, DType::BF16, {2200});
    Cache cache(device, c);
    cache.store(c.all());
    const Order order = {1023, 1024, 2199};
    const auto out = cache.attend(order);
    ASSERT_NO_FATAL_FAILURE(expect_softmax(c, order, out, 1e-5));
  }
}

TEST_P(DeviceAttention, ChunksHaveTheBitsOfTheWholePrompt) {
  auto device = this->device();
  for (const AttentionShape& shape :
       {AttentionShape{2, 1, 64, 0.125f}, AttentionShape{2, 1, 32, 0.2f, 5.0f, 50},
        AttentionShape{3, 1, 48, 0.2f, 0.0f, 0, 32}}) {
    for (const DType dtype : dtypes) {
      const std::size_t length = 140;
      const Case c = make(shape, dtype, {length});
      const auto whole = Cache(device, c).run(c.all());
      for (const std::size_t chunk : {1, 7, 129}) {
        Cache cache(device, c);
        std::vector<float> out;
        // Row by row is many launches: after 110 rows at once.
        for (std::size_t begin = 0, rows = chunk == 1 ? 110 : chunk; begin < length; rows = chunk) {
          Order order(std::min(rows, length - begin));
          std::iota(order.begin(), order.end(), begin);
          const auto some = cache.run(order);
          out.insert(out.end(), some.begin(), some.end());
          begin += rows;
        }
        EXPECT_TRUE(same_bits(out, whole)) << name(dtype) << ", chunks of " << chunk;
      }
    }
  }
}

TEST_P(DeviceAttention, MixedSequencesHaveTheBitsOfEachByItself) {
  auto device = this->device();
  const Case c = make({6, 2, 20, 0.2f}, DType::BF16, {90, 60, 90});
  const auto whole = Cache(device, c).run(c.all());
  // Position by position over all sequences, some calls taking several positions.
  Order order = c.all();
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    return c.rows[a].position < c.rows[b].position;
  });
  Cache cache(device, c);
  std::vector<float> out(whole.size());
  for (std::size_t begin = 0; begin < order.size();) {
    const std::size_t end = std::min(begin + 1 + below(20), order.size());
    const Order some(order.begin() + static_cast<std::ptrdiff_t>(begin),
                     order.begin() + static_cast<std::ptrdiff_t>(end));
    const auto results = cache.run(some);
    for (std::size_t i = 0; i < some.size(); ++i) {
      const auto result = part(results, i * c.q_columns(), c.q_columns());
      std::copy(result.begin(), result.end(),
                out.begin() + static_cast<std::ptrdiff_t>(some[i] * c.q_columns()));
    }
    begin = end;
  }
  EXPECT_TRUE(same_bits(out, whole));
}

TEST_P(DeviceAttention, ThreadsDoNotChangeABit) {
  const Case c = make({8, 4, 32, 0.18f}, DType::F16, {70, 70});
  std::vector<float> of_one;
  for (const unsigned threads : {1, 2, 3}) {
    auto device = this->device(threads);
    const auto out = Cache(device, c).run(c.all());
    if (of_one.empty()) of_one = out;
    EXPECT_TRUE(same_bits(out, of_one)) << threads;
  }
}

TEST_P(DeviceAttention, NanAndInfinityReachOnlyRowsThatSeeThem) {
  auto device = this->device();
  for (const DType dtype : {DType::F32, DType::F16}) {
    Case c = make({2, 2, 64, 0.125f}, dtype, {80});
    const auto clean = Cache(device, c).run(c.all());
    c.k[70 * c.kv_columns()] = NAN;            // head 0
    c.v[75 * c.kv_columns() + 64] = INFINITY;  // head 1, element 0
    const auto out = Cache(device, c).run(c.all());
    EXPECT_TRUE(same_bits(part(out, 0, 70 * c.q_columns()), part(clean, 0, 70 * c.q_columns())));
    for (std::size_t row = 0; row < 80; ++row) {
      const float* const heads = out.data() + row * c.q_columns();
      EXPECT_EQ(std::isnan(heads[10]), row >= 70) << row;
      EXPECT_EQ(std::isinf(heads[64]), row >= 75) << row;
      EXPECT_TRUE(std::isfinite(heads[65]));
    }
  }
  Case c = make({2, 1, 16, 0.25f}, DType::F32, {80});
  c.v[70 * c.kv_columns()] = NAN;
  const auto out = Cache(device, c).run(c.all());
  for (std::size_t row = 0; row < 80; ++row) {
    EXPECT_EQ(std::isnan(out[row * c.q_columns()]), row >= 70) << row;
  }
}

TEST_P(DeviceAttention, LargeScoresDoNotOverflow) {
  auto device = this->device();
  Case c = make({1, 1, 4, 1.0f}, DType::F32, {100});
  for (float& x : c.q) x *= 1000;
  for (const float x : Cache(device, c).run(c.all())) EXPECT_TRUE(std::isfinite(x));
}

TEST_P(DeviceAttention, RefusesWhatItCannotDo) {
  auto device = this->device();
  const auto x = device.put(std::vector<float>(2048));
  const AttentionShape shape{2, 1, 4, 1.0f};
  const Case c = make(shape, DType::F32, {7});
  Cache cache(device, c);
  const std::vector<RowInfo> outside = {{0, 8, 9}}, inside(1);
  device->set_rows(outside, {});
  const auto is_outside = [](const char* op) {
    return testing::ThrowsMessage<Error>(
        testing::AllOf(testing::HasSubstr(std::string(op) + ": position 8 "),
                       testing::HasSubstr("is outside of a KV cache of 8 positions")));
  };
  EXPECT_THAT([&] { device->attention(x.get(), shape, cache.view, x.get()); },
              is_outside("attention"));
  EXPECT_THAT([&] { device->store_kv(x.get(), x.get(), shape, cache.view); },
              is_outside("store_kv"));
  device->set_rows(inside, {});
  EXPECT_THAT(
      [&] {
        device->attention(x.get(), {3, 2, 4, 1.0f}, cache.view, x.get());
      },
      testing::ThrowsMessage<Error>(testing::HasSubstr("3 heads over 2 KV heads")));
  EXPECT_THROW(device->attention(x.get(), {1, 1, 577, 1.0f}, cache.view, x.get()), Error);
  cache.view.dtype = DType::I8;
  EXPECT_THROW(device->store_kv(x.get(), x.get(), shape, cache.view), Error);
}

}  // namespace
}  // namespace initrt::test
