#include "runtime/device/device.h"

#include "sharding/error.h"

namespace initrt {

void Device::linear_of_each(const float* in, std::span<const LinearProduct> products,
                            std::uint64_t rows) {
  for (const LinearProduct& product : products) {
    linear(in, product.weights, product.out, rows, product.out_stride);
  }
}

void Device::sample(const float* /*logits*/, std::uint64_t rows, std::uint64_t vocabulary,
                    const SamplerOptions& /*options*/, std::span<const double> /*draws*/,
                    std::span<Sampled> /*out*/) {
  fail("{} does not choose tokens: asked for those of {} rows of {} logits", name(), rows,
       vocabulary);
}

}  // namespace initrt
