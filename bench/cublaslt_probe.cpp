// What cuBLASLt's algorithms are on this GPU, for the shapes of a model of 8B: what it tells of
// them, how long they take, and whose bits are whose. For each number of rows it prints the
// algorithms that are offered, each as one line of JSON: whether its rows have the bits of the
// algorithm that products are made with now (the first of 64 rows that keeps sums whole), and
// whether they keep them in batches. Numbers are random; weights come from memory, not from the L2
// cache.
//
//   cublaslt_probe [--rows 8,16,32,64,128,256] [--most 6]
#include <cublasLt.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/device/cuda/cuda_device.h"
#include "runtime/device/cuda/gpus.h"
#include "runtime/device/cuda/kernels.h"
#include "runtime/device/cuda/linear.h"
#include "runtime/device/cuda/needs.h"
#include "sharding/error.h"

namespace initrt::cuda {
namespace {

constexpr std::uint64_t kMaxRows = 256;
constexpr std::uint64_t kArenaBytes = 2ull << 30;  // of weights: many times the L2 cache
constexpr int kRuns = 20;

struct Shape {
  std::uint64_t out, in;
};
constexpr std::array<Shape, 5> kShapes{
    {{4096, 4096}, {4096, 14336}, {14336, 4096}, {1024, 4096}, {128256, 4096}}};

using cuda::check;  // beside which is:
void check(cublasStatus_t status, const char* what) {
  if (status != CUBLAS_STATUS_SUCCESS) fail("{}: {}", what, cublasLtGetStatusString(status));
}

/// A product of `rows` rows, or of as many in each of `batches`, bfloat16 to float32.
struct Product {
  Product(const Shape& shape, std::uint64_t rows, std::uint64_t batches) {
    check(cublasLtMatmulDescCreate(&operation, CUBLAS_COMPUTE_32F, CUDA_R_32F), "describing");
    const cublasOperation_t transposed = CUBLAS_OP_T;
    check(cublasLtMatmulDescSetAttribute(operation, CUBLASLT_MATMUL_DESC_TRANSA, &transposed,
                                         sizeof transposed),
          "describing");
    weight = layout(CUDA_R_16BF, shape.in, shape.out, batches, 0);
    in = layout(CUDA_R_16BF, shape.in, rows, batches, rows * shape.in);
    out = layout(CUDA_R_32F, shape.out, rows, batches, rows * shape.out);
  }
  ~Product() {
    cublasLtMatmulDescDestroy(operation);
    for (cublasLtMatrixLayout_t one : {weight, in, out}) cublasLtMatrixLayoutDestroy(one);
  }
  Product(const Product&) = delete;
  Product& operator=(const Product&) = delete;

  static cublasLtMatrixLayout_t layout(cudaDataType_t type, std::uint64_t rows,
                                       std::uint64_t columns, std::uint64_t batches,
                                       std::uint64_t step) {
    cublasLtMatrixLayout_t made = nullptr;
    check(cublasLtMatrixLayoutCreate(&made, type, rows, columns, static_cast<std::int64_t>(rows)),
          "describing a matrix");
    const auto count = static_cast<std::int32_t>(batches);
    const auto stride = static_cast<std::int64_t>(step);
    check(cublasLtMatrixLayoutSetAttribute(made, CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT, &count,
                                           sizeof count),
          "describing a matrix");
    check(cublasLtMatrixLayoutSetAttribute(made, CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET,
                                           &stride, sizeof stride),
          "describing a matrix");
    return made;
  }

  cublasLtMatmulDesc_t operation = nullptr;
  cublasLtMatrixLayout_t weight = nullptr, in = nullptr, out = nullptr;
};

class Probe {
 public:
  Probe() {
    check(cublasLtCreate(&handle_), "starting cuBLASLt");
    fill_random(stream(), DType::BF16, arena_.data(), kArenaBytes / 2, 1);
    fill_random(stream(), DType::BF16, in_.data(), in_.bytes() / 2, 2);
  }
  ~Probe() { cublasLtDestroy(handle_); }
  Probe(const Probe&) = delete;
  Probe& operator=(const Probe&) = delete;

  void run(const Shape& shape, const std::vector<std::uint64_t>& numbers_of_rows, int most) {
    const auto of_64 = offered(shape, kRowTile, 16);
    const auto reference = std::find_if(of_64.begin(), of_64.end(), [](const auto& one) {
      const std::string text = describe(one.algo);
      return (text.find("split 0,") != std::string::npos ||
              text.find("split 1,") != std::string::npos) &&
             text.ends_with("reduction 0");
    });
    if (reference == of_64.end()) fail("no algorithm keeps sums whole");
    // The reference for all rows: 64 by 64.
    for (std::uint64_t row = 0; row < kMaxRows; row += kRowTile) {
      multiply(Product(shape, kRowTile, 1), shape, reference->algo, arena_.data(), row,
               reference_.floats() + row * shape.out);
    }
    for (const std::uint64_t rows : numbers_of_rows) {
      report(shape, rows, "of 64 rows", reference->algo, reference->workspaceSize);
      const auto found = offered(shape, rows, most);
      for (std::size_t i = 0; i < found.size(); ++i) {
        report(shape, rows, fmt::format("{}", i), found[i].algo, found[i].workspaceSize);
      }
    }
  }

 private:
  [[nodiscard]] cudaStream_t stream() const { return device_.stream(); }

  std::vector<cublasLtMatmulHeuristicResult_t> offered(const Shape& shape, std::uint64_t rows,
                                                       int most) {
    const Product product(shape, rows, 1);
    cublasLtMatmulPreference_t preference = nullptr;
    check(cublasLtMatmulPreferenceCreate(&preference), "stating a preference");
    check(cublasLtMatmulPreferenceSetAttribute(preference, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES,
                                               &kWorkspaceBytes, sizeof kWorkspaceBytes),
          "stating a preference");
    std::vector<cublasLtMatmulHeuristicResult_t> found(static_cast<std::size_t>(most));
    int count = 0;
    const cublasStatus_t status = cublasLtMatmulAlgoGetHeuristic(
        handle_, product.operation, product.weight, product.in, product.out, product.out,
        preference, most, found.data(), &count);
    cublasLtMatmulPreferenceDestroy(preference);
    if (status != CUBLAS_STATUS_SUCCESS) count = 0;
    found.resize(static_cast<std::size_t>(count));
    std::erase_if(found, [](const auto& one) { return one.state != CUBLAS_STATUS_SUCCESS; });
    return found;
  }

  bool multiply(const Product& product, const Shape& shape, const cublasLtMatmulAlgo_t& algorithm,
                const std::byte* weight, std::uint64_t first_row, float* out) {
    const float one = 1.0f, zero = 0.0f;
    return cublasLtMatmul(handle_, product.operation, &one, weight, product.weight,
                          in_.data() + first_row * shape.in * 2, product.in, &zero, out,
                          product.out, out, product.out, &algorithm, workspace_.data(),
                          kWorkspaceBytes, stream()) == CUBLAS_STATUS_SUCCESS;
  }

  /// Whether the products of the first rows have the reference's bits. @param batches of `rows`
  bool same(const Shape& shape, std::uint64_t rows, std::uint64_t batches,
            const cublasLtMatmulAlgo_t& algorithm, const float* reference, bool& runs) {
    const Product product(shape, rows, batches);
    cublasLtMatmulHeuristicResult_t result{};
    runs =
        cublasLtMatmulAlgoCheck(handle_, product.operation, product.weight, product.in, product.out,
                                product.out, &algorithm, &result) == CUBLAS_STATUS_SUCCESS &&
        result.workspaceSize <= kWorkspaceBytes &&
        multiply(product, shape, algorithm, arena_.data(), 0, out_.floats());
    if (!runs) return false;
    auto* const differ = reinterpret_cast<std::uint32_t*>(flag_.data());
    check(cudaMemsetAsync(differ, 0, 4, stream()), "clearing");
    note_difference(stream(), reinterpret_cast<const std::byte*>(reference), out_.data(),
                    rows * batches * shape.out * sizeof(float), differ);
    std::uint32_t found = 0;
    check(cudaMemcpyAsync(&found, differ, sizeof found, cudaMemcpyDeviceToHost, stream()), "bits");
    check(cudaStreamSynchronize(stream()), "comparing bits");
    return found == 0;
  }

  double microseconds(const Shape& shape, std::uint64_t rows,
                      const cublasLtMatmulAlgo_t& algorithm) {
    const Product product(shape, rows, 1);
    const std::uint64_t bytes = shape.out * shape.in * 2, copies = kArenaBytes / bytes;
    const Event begun = make_timed_event(), ended = make_timed_event();
    for (int i = -2; i < kRuns; ++i) {
      if (i == 0) check(cudaEventRecord(begun.get(), stream()), "timing");
      if (!multiply(product, shape, algorithm,
                    arena_.data() + static_cast<std::uint64_t>(i + 2) % copies * bytes, 0,
                    out_.floats())) {
        return -1;
      }
    }
    check(cudaEventRecord(ended.get(), stream()), "timing");
    check(cudaStreamSynchronize(stream()), "timing");
    float milliseconds = 0;
    check(cudaEventElapsedTime(&milliseconds, begun.get(), ended.get()), "timing");
    return milliseconds * 1e3 / kRuns;
  }

  void report(const Shape& shape, std::uint64_t rows, const std::string& which,
              const cublasLtMatmulAlgo_t& algorithm, std::size_t workspace) {
    bool runs = false;
    const bool as_64 = same(shape, rows, 1, algorithm, reference_.floats(), runs);
    const double us = runs ? microseconds(shape, rows, algorithm) : -1;
    // Its own bits, one block at a time, are what its batches are compared with.
    std::string batches;
    for (const std::uint64_t count : {2, 4, 16}) {
      if (count * rows > kMaxRows || !runs) continue;
      const Product product(shape, rows, 1);
      for (std::uint64_t i = 0; i < count; ++i) {
        multiply(product, shape, algorithm, arena_.data(), i * rows,
                 alone_.floats() + i * rows * shape.out);
      }
      bool in_batches = false;
      const bool equal = same(shape, rows, count, algorithm, alone_.floats(), in_batches);
      batches += fmt::format("{}\"{}\": \"{}\"", batches.empty() ? "" : ", ", count,
                             !in_batches ? "not taken"
                             : equal     ? "same"
                                         : "differ");
    }
    const double bytes = static_cast<double>(shape.out * shape.in * 2);
    fmt::print(
        "{{\"out\": {}, \"in\": {}, \"rows\": {}, \"choice\": \"{}\", \"algorithm\": \"{}\", "
        "\"workspace\": {}, \"runs\": {}, \"us\": {:.2f}, \"weights_GBps\": {:.0f}, "
        "\"TFLOPps\": {:.1f}, \"bits_of_64\": {}, \"batches\": {{{}}}}}\n",
        shape.out, shape.in, rows, which, describe(algorithm), workspace, runs, us,
        runs ? bytes / us / 1e3 : 0, runs ? bytes * static_cast<double>(rows) / us / 1e6 : 0, as_64,
        batches);
    std::fflush(stdout);
  }

  Buffer make(std::uint64_t bytes) {
    return allocate(device_, ledger_, MemoryCategory::Scratch, bytes);
  }

  Ledger ledger_;
  CudaDevice device_{0, {}};
  cublasLtHandle_t handle_ = nullptr;
  Buffer arena_ = make(kArenaBytes), in_ = make(kMaxRows * 14336 * 2);
  Buffer out_ = make(kMaxRows * 128256 * 4), alone_ = make(kMaxRows * 128256 * 4),
         reference_ = make(kMaxRows * 128256 * 4);
  Buffer workspace_ = make(kWorkspaceBytes), flag_ = make(256);
};

std::vector<std::uint64_t> numbers(std::string_view text) {
  std::vector<std::uint64_t> values;
  while (!text.empty()) {
    values.push_back(std::stoull(std::string(text.substr(0, text.find(',')))));
    if (values.back() == 0 || values.back() > kMaxRows) fail("rows are from 1 to {}", kMaxRows);
    const std::size_t comma = text.find(',');
    text.remove_prefix(comma == std::string_view::npos ? text.size() : comma + 1);
  }
  return values;
}

}  // namespace
}  // namespace initrt::cuda

int main(int argc, char** argv) {
  try {
    std::vector<std::uint64_t> rows{8, 16, 32, 64, 128, 256};
    int most = 6;
    for (int i = 1; i + 1 < argc; i += 2) {
      if (std::string_view(argv[i]) == "--rows") rows = initrt::cuda::numbers(argv[i + 1]);
      if (std::string_view(argv[i]) == "--most") most = std::stoi(argv[i + 1]);
    }
    initrt::cuda::set_environment();
    if (initrt::cuda::visible_gpus().empty()) initrt::fail("this machine has no GPU");
    initrt::cuda::Probe probe;
    for (const auto& shape : initrt::cuda::kShapes) probe.run(shape, rows, most);
  } catch (const std::exception& error) {
    fmt::print(stderr, "cublaslt_probe: {}\n", error.what());
    return 1;
  }
}
