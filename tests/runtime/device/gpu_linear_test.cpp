// Matrix products of a GPU in the shapes of models, plain and with codes: the same bits for a row
// whatever rows come with it.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>

#include "runtime/device/cuda/cuda_device.h"
#include "runtime/device/cuda/kernels.h"
#include "tests/runtime/device/coded_weights.h"
#include "tests/runtime/device/cpu_support.h"
#include "tests/runtime/device/gpu_device.h"

namespace initrt::test {
namespace {

/// Of a model of 8B; the emulator, which is slow, gets some as odd in small.
std::vector<std::pair<std::uint64_t, std::uint64_t>> shapes_of_models() {
#if __has_include("cuda_emulator/control.h")
  return {{320, 96}, {96, 448}, {1000, 64}};
#else
  return {{4096, 4096}, {4096, 14336}, {14336, 4096}, {1024, 4096}, {128256, 4096}};
#endif
}

/// A device with inputs, and products of them compared row by row.
class Rows {
 public:
  static constexpr std::uint64_t kRows = 200, kPadded = 256;

  Rows(DType dtype, std::uint64_t in_columns, std::uint64_t out_columns,
       const cuda::DeviceOptions& options = {}, WeightFormats formats = {})
      : device_(dtype, kRows, in_columns, options, formats),
        in_columns_(in_columns),
        out_columns_(out_columns),
        in_(device_.make(kPadded * in_columns * sizeof(float))),
        all_(device_.make(kPadded * out_columns * sizeof(float))),
        some_(device_.make(kPadded * out_columns * sizeof(float))) {
    cuda::fill_random(stream(), DType::F32, in_.data(), kPadded * in_columns, 2);
  }

  GpuDevice& device() { return device_; }
  [[nodiscard]] cudaStream_t stream() const {
    return dynamic_cast<cuda::CudaDevice&>(*device_.operator->()).stream();
  }

  /// Whether products of some rows have the bits that these have among all.
  [[nodiscard]] bool same_in_any_company(const LinearWeights& matrix) {
    device_->linear(in_.floats(), matrix, all_.floats(), kRows, out_columns_);
    for (const std::uint64_t rows : {1u, 3u, 8u, 64u, 65u, 130u}) {
      for (const std::uint64_t begin : {0u, 4u, 64u}) {
        device_->linear(in_.floats() + begin * in_columns_, matrix, some_.floats(), rows,
                        out_columns_);
        cuda::note_difference(
            stream(), some_.data(), all_.data() + begin * out_columns_ * sizeof(float),
            rows * out_columns_ * sizeof(float), reinterpret_cast<std::uint32_t*>(flag_.data()));
        device_->read(flag_.data(), found_.span());
        device_->synchronize();
        if (found_.floats()[0] != 0.0f) return false;
      }
    }
    return true;
  }

 private:
  GpuDevice device_;
  const std::uint64_t in_columns_, out_columns_;
  Buffer in_, all_, some_;
  Buffer flag_ = device_.make(4), found_ = device_.make_pinned(4);
};

// Algorithms are chosen by shape: those of small matrices say nothing of those of large ones.
TEST(GpuLinearOfModels, HasTheSameBitsForARowInAnyCompany) {
  for (const DType dtype : {DType::BF16, DType::F32}) {
    for (const auto& [out_columns, in_columns] : shapes_of_models()) {
      std::vector<std::string> notes;
      cuda::DeviceOptions options;
      options.note = [&](const std::string& note) { notes.push_back(note); };
      Rows rows(dtype, in_columns, out_columns, options);
      const Buffer weights = rows.device().make(bytes_of(dtype, out_columns * in_columns));
      cuda::fill_random(rows.stream(), dtype, weights.data(), out_columns * in_columns, 1);
      const LinearWeights matrix{weights.data(), nullptr, dtype, in_columns, out_columns};
      EXPECT_TRUE(rows.same_in_any_company(matrix))
          << name(dtype) << " [" << out_columns << ", " << in_columns << "]";
      for (const std::string& note : notes) std::puts(note.c_str());
    }
  }
}

TEST(GpuLinearOfModels, HasThemWithWeightsThatAreHeldQuantized) {
  Random random;
  for (const WeightFormat format : {WeightFormat::Int8, WeightFormat::Nf4, WeightFormat::Nf4Dq,
                                    WeightFormat::Q8_0, WeightFormat::Q4_K}) {
    for (const auto& [out_columns, columns] : shapes_of_models()) {
      const std::uint64_t in_columns = (columns + 255) / 256 * 256;
      WeightFormats formats;
      formats.add(format);
      Rows rows(DType::BF16, in_columns, out_columns, {}, formats);
      LinearWeights matrix;
      const std::uint64_t code_bytes = out_columns * row_bytes(format, DType::BF16, in_columns);
      const std::uint64_t scale_bytes = out_columns * scale_row_bytes(format, in_columns);
      const Buffer codes = rows.device().make(code_bytes);
      const Buffer scales = rows.device().make(std::max<std::uint64_t>(scale_bytes, 4));
      // As random as numbers of 16 bits are, whose bits make scales of blocks that are no NaN.
      cuda::fill_random(rows.stream(), DType::F16, codes.data(), code_bytes / 2, 1);
      if (has_coded_scales(format)) {
        rows.device()->write(random_coded_scales(random, in_columns, out_columns), scales.data());
      } else {
        cuda::fill_random(rows.stream(), DType::F32, scales.data(), scale_bytes / 4, 3);
      }
      matrix.weight = codes.data();
      if (scale_bytes > 0) matrix.scales = scales.data();
      matrix.dtype = DType::BF16;
      matrix.in_columns = in_columns;
      matrix.out_columns = out_columns;
      matrix.format = format;
      matrix.outlier_threshold = 2.0f;
      EXPECT_TRUE(rows.same_in_any_company(matrix))
          << name(format) << " [" << out_columns << ", " << in_columns << "]";
    }
  }
}

}  // namespace
}  // namespace initrt::test
