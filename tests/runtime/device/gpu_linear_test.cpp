// Matrix products of a GPU in the shapes of models: the same bits for a row whatever rows come with
// it.
#include <gtest/gtest.h>

#include <cmath>
#include <cstdio>

#include "runtime/device/cuda/cuda_device.h"
#include "runtime/device/cuda/kernels.h"
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

// Algorithms are chosen by shape: those of small matrices say nothing of those of large ones.
TEST(GpuLinearOfModels, HasTheSameBitsForARowInAnyCompany) {
  constexpr std::uint64_t kRows = 200, kPadded = 256;
  for (const DType dtype : {DType::BF16, DType::F32}) {
    for (const auto& [out_columns, in_columns] : shapes_of_models()) {
      std::vector<std::string> notes;
      cuda::DeviceOptions options;
      options.note = [&](const std::string& note) { notes.push_back(note); };
      GpuDevice device(dtype, kRows, in_columns, options);
      const cudaStream_t stream = dynamic_cast<cuda::CudaDevice&>(*device.operator->()).stream();
      const Buffer weights = device.make(bytes_of(dtype, out_columns * in_columns));
      const Buffer in = device.make(kPadded * in_columns * sizeof(float));
      const Buffer all = device.make(kPadded * out_columns * sizeof(float));
      const Buffer some = device.make(kPadded * out_columns * sizeof(float));
      const Buffer flag = device.make(4), found = device.make_pinned(4);
      cuda::fill_random(stream, dtype, weights.data(), out_columns * in_columns, 1);
      cuda::fill_random(stream, DType::F32, in.data(), kPadded * in_columns, 2);
      const LinearWeights matrix{weights.data(), nullptr, dtype, in_columns, out_columns};
      device->linear(in.floats(), matrix, all.floats(), kRows, out_columns);
      for (const std::uint64_t rows : {1u, 8u, 64u, 65u, 130u}) {
        for (const std::uint64_t begin : {0u, 4u, 64u}) {
          device->linear(in.floats() + begin * in_columns, matrix, some.floats(), rows,
                         out_columns);
          cuda::note_difference(
              stream, some.data(), all.data() + begin * out_columns * sizeof(float),
              rows * out_columns * sizeof(float), reinterpret_cast<std::uint32_t*>(flag.data()));
          device->read(flag.data(), found.span());
          device->synchronize();
          ASSERT_EQ(found.floats()[0], 0.0f)
              << name(dtype) << " [" << out_columns << ", " << in_columns << "], " << rows
              << " rows from " << begin;
        }
      }
      for (const std::string& note : notes) std::puts(note.c_str());
    }
  }
}

}  // namespace
}  // namespace initrt::test
