#include "runtime/device/ops.h"

namespace initrt {

void DeviceOps::linear_of_each(const float* in, std::span<const LinearProduct> products,
                               std::uint64_t rows) {
  for (const LinearProduct& product : products) {
    linear(in, product.weights, product.out, rows, product.out_stride);
  }
}

}  // namespace initrt
