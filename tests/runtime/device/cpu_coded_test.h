// A product with coded weights on the CPU device.
#pragma once

#include "tests/runtime/device/coded_weights.h"
#include "tests/runtime/device/cpu_support.h"

namespace initrt::test {

class CpuCodedTest : public CpuTest {
 protected:
  static LinearWeights weights_of(const CodedMatrix& matrix, DType dtype) {
    LinearWeights weights;
    weights.weight = matrix.codes.data();
    if (!matrix.scales.empty()) weights.scales = matrix.scales.data();
    weights.dtype = dtype;
    weights.format = matrix.format;
    weights.in_columns = matrix.columns;
    weights.out_columns = matrix.rows;
    return weights;
  }

  /// [rows, out_columns] of rows `stride` apart, 7 between them, with no more scratch than needed.
  static std::vector<float> run(Device& device, const LinearWeights& weights,
                                const std::vector<float>& in, std::size_t stride = 0) {
    if (stride == 0) stride = weights.out_columns;
    const std::size_t rows = in.size() / weights.in_columns;
    ProductSizes sizes{weights.dtype, rows, weights.in_columns};
    sizes.formats.add(weights.format);
    std::vector<std::byte> scratch(device.needs(sizes).scratch_bytes);
    device.set_scratch(scratch, {}, rows);
    std::vector<float> out(rows * stride, 7.0f);
    device.linear(in.data(), weights, out.data(), rows, stride);
    return out;
  }
};

}  // namespace initrt::test
