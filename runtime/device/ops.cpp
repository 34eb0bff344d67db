#include "runtime/device/ops.h"

#include "sharding/error.h"

namespace initrt {

void DeviceOps::linear_of_each(const float* in, std::span<const LinearProduct> products,
                               std::uint64_t rows) {
  for (const LinearProduct& product : products) {
    linear(in, product.weights, product.out, rows, product.out_stride);
  }
}

void check_routing(const Routing& routing, std::uint64_t rows, std::uint64_t room,
                   std::string_view who) {
  const auto& [experts, chosen, score, normalize, scale, groups, kept_groups] = routing;
  if (groups == 0 || experts % groups != 0 || kept_groups == 0 || kept_groups > groups) {
    fail("{}: {} of {} groups of {} experts", who, kept_groups, groups, experts);
  }
  if (chosen > std::uint64_t{experts} / groups * kept_groups || room < rows * chosen) {
    fail("{}: {} of {} experts for {} rows into room for {}", who, chosen,
         experts / groups * kept_groups, rows, room);
  }
}

void check_delta(const DeltaShape& shape, std::string_view who) {
  if (shape.key_heads == 0 || shape.value_heads % shape.key_heads != 0) {
    fail("{}: {} value heads over {} key heads, expected a multiple", who, shape.value_heads,
         shape.key_heads);
  }
  if (shape.key_size == 0 || shape.key_size > kMaxKeySize) {
    fail("{}: keys of {} elements, expected from 1 to {}", who, shape.key_size, kMaxKeySize);
  }
}

void check_state_space(const StateSpaceShape& shape, std::string_view who) {
  if (shape.groups == 0 || shape.heads % shape.groups != 0) {
    fail("{}: {} heads in {} groups, expected a multiple", who, shape.heads, shape.groups);
  }
  if (shape.state_size == 0 || shape.state_size > kMaxKeySize) {
    fail("{}: states of {} elements, expected from 1 to {}", who, shape.state_size, kMaxKeySize);
  }
}

void check_taps(const ConvolutionWeights& weights, std::string_view who) {
  if (weights.count == 0 || weights.count > kMaxTaps) {
    fail("{}: {} taps, expected from 1 to {}", who, weights.count, kMaxTaps);
  }
}

}  // namespace initrt
