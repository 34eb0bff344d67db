// Matrix products as cuBLASLt describes them, and what computes them.
#pragma once

#include <cublasLt.h>

struct cublasLtMatrixLayoutOpaque_t {
  cudaDataType type;
  std::uint64_t rows, columns;
  std::int64_t leading_dimension;
  cublasLtOrder_t order = CUBLASLT_ORDER_COL;
  std::int32_t batches = 1;
  std::int64_t batch_stride = 0;  ///< elements
};

struct cublasLtMatmulDescOpaque_t {
  cublasComputeType_t compute;
  cudaDataType_t scale;
  cublasOperation_t a = CUBLAS_OP_N, b = CUBLAS_OP_N;
};

namespace cuda_emulator {

using Layout = cublasLtMatrixLayoutOpaque_t;

[[nodiscard]] std::size_t element_bytes(cudaDataType type);

/// Bytes from the first to the last element of all batches.
[[nodiscard]] std::size_t extent_bytes(const Layout& layout);

struct Operand {
  const void* data = nullptr;
  Layout layout{};
  bool transposed = false;

  [[nodiscard]] std::uint64_t rows() const { return transposed ? layout.columns : layout.rows; }
  [[nodiscard]] std::uint64_t columns() const { return transposed ? layout.rows : layout.columns; }
};

/// D = alpha * A * B + beta * C, C having D's layout.
struct Product {
  Operand a, b;
  const void* c = nullptr;
  void* d = nullptr;
  Layout d_layout{};
  float alpha = 1.0f, beta = 0.0f;
  unsigned split_k = 1;  ///< sums of as many parts of K, added in their order
};

/// Each sum is of fused multiply-adds in the order of K.
void compute(const Product& product);

}  // namespace cuda_emulator
