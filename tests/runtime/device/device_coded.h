// Products with coded weights on every device.
#pragma once

#include "tests/runtime/device/coded_weights.h"
#include "tests/runtime/device/devices.h"

namespace initrt::test {

/// Widths that end in every kind of tail the format has.
inline std::vector<std::size_t> coded_widths(WeightFormat format) {
  const std::size_t block = block_columns(format);
  if (block == 1) return {1, 2, 31, 63, 64, 65, 130, 577, 1024, 1087, 2049};
  return {block, block * 2, block * 3, block * 5, 1024, 1024 + block, 2048 + 3 * block};
}

/// A matrix in a device's memory.
struct CodedThere {
  CodedThere(OnDevice& device, const CodedMatrix& matrix, DType dtype)
      : codes(device.put(matrix.codes)), scales(device.put(matrix.scales)) {
    weights.weight = codes.get();
    if (!matrix.scales.empty()) weights.scales = scales.get();
    weights.dtype = dtype;
    weights.format = matrix.format;
    weights.in_columns = matrix.columns;
    weights.out_columns = matrix.rows;
  }

  Placed<std::byte> codes, scales;
  LinearWeights weights;
};

class DeviceCodedTest : public DeviceTest {
 protected:
  static void make_room(OnDevice& device, const LinearWeights& weights, std::size_t rows) {
    WeightFormats formats;
    formats.add(weights.format);
    device.make_scratch(weights.dtype, rows, weights.in_columns, formats);
  }

  /// [rows, out_columns] of rows `stride` apart, 7 between them.
  static std::vector<float> run(OnDevice& device, const LinearWeights& weights,
                                const std::vector<float>& in, std::size_t stride = 0) {
    if (stride == 0) stride = weights.out_columns;
    const std::size_t rows = in.size() / weights.in_columns;
    make_room(device, weights, rows);
    const auto in_there = device.put(in);
    const auto out = device.put(std::vector<float>(rows * stride, 7.0f));
    device->linear(in_there.get(), weights, out.get(), rows, stride);
    return device.get(out);
  }

  static std::vector<float> run(OnDevice& device, const CodedMatrix& matrix, DType dtype,
                                const std::vector<float>& in) {
    return run(device, CodedThere(device, matrix, dtype).weights, in);
  }
};

}  // namespace initrt::test
