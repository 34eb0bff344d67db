// The choice of an algorithm, and the product with it.
#include "algorithm.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <iterator>

#include "memory.h"
#include "stream.h"

namespace cuda_emulator {
namespace {

struct Algorithm {
  std::int32_t id;
  std::uint32_t alignment;         ///< of matrices and their lines, bytes; 0: its elements'
  std::uint32_t matrix_alignment;  ///< of matrices, of each of a batch, whatever their lines'
  std::int32_t split_k;
  std::uint32_t reduction;
  std::uint64_t workspace_bytes;
};

constexpr std::uint64_t kShortestSplit = 256;  // of K
constexpr Algorithm kAlgorithms[] = {
    {66, 16, 16, 3, CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE, 1 << 20},
    {21, 16, 16, 1, CUBLASLT_REDUCTION_SCHEME_NONE, 0},
    {31, 0, 256, 1, CUBLASLT_REDUCTION_SCHEME_NONE, 0},
    {0, 0, 0, 1, CUBLASLT_REDUCTION_SCHEME_NONE, 0},
};

// Tells an algorithm's description from memory that is none.
constexpr std::uint64_t kMark = 0x656d756c61746564;

const Algorithm* algorithm_of(const cublasLtMatmulAlgo_t* algo) {
  if (algo == nullptr || algo->data[0] != kMark || algo->data[1] >= std::size(kAlgorithms))
    return nullptr;
  return &kAlgorithms[algo->data[1]];
}

/// The matrices of a product.
struct Layouts {
  const Layout *a, *b, *c, *d;
  [[nodiscard]] std::array<const Layout*, 4> all() const { return {a, b, c, d}; }
};

bool layout_valid(const Layout& one) {
  const std::uint64_t line = one.order == CUBLASLT_ORDER_ROW ? one.columns : one.rows;
  return one.rows > 0 && one.columns > 0 && one.batches > 0 &&
         one.leading_dimension >= static_cast<std::int64_t>(line) &&
         (one.order == CUBLASLT_ORDER_ROW || one.order == CUBLASLT_ORDER_COL);
}

cublasStatus_t check(const cublasLtMatmulDescOpaque_t& descriptor, const Layouts& layouts) {
  for (const Layout* one : layouts.all()) {
    if (!layout_valid(*one) || one->batches != layouts.d->batches)
      return CUBLAS_STATUS_INVALID_VALUE;
  }
  const Operand a{nullptr, *layouts.a, descriptor.a != CUBLAS_OP_N};
  const Operand b{nullptr, *layouts.b, descriptor.b != CUBLAS_OP_N};
  const Layout &c = *layouts.c, &d = *layouts.d;
  if (a.rows() != d.rows || b.columns() != d.columns || a.columns() != b.rows() ||
      c.rows != d.rows || c.columns != d.columns)
    return CUBLAS_STATUS_INVALID_VALUE;
  const bool known_type =
      a.layout.type == CUDA_R_32F || a.layout.type == CUDA_R_16F || a.layout.type == CUDA_R_16BF;
  // What may be rounded to TF32 need not be.
  const bool known_compute = descriptor.compute == CUBLAS_COMPUTE_32F ||
                             descriptor.compute == CUBLAS_COMPUTE_32F_PEDANTIC ||
                             descriptor.compute == CUBLAS_COMPUTE_32F_FAST_TF32;
  if (!known_type || !known_compute || descriptor.scale != CUDA_R_32F ||
      b.layout.type != a.layout.type || c.type != CUDA_R_32F || d.type != CUDA_R_32F ||
      c.leading_dimension != d.leading_dimension || c.order != d.order ||
      c.batch_stride != d.batch_stride)
    return CUBLAS_STATUS_NOT_SUPPORTED;
  return CUBLAS_STATUS_SUCCESS;
}

/// Whether rows or columns of the matrix, beginning aligned, stay so.
bool lines_aligned(const Layout& layout, std::uint32_t alignment) {
  const std::size_t bytes = element_bytes(layout.type);
  return alignment == 0 ||
         (static_cast<std::size_t>(layout.leading_dimension) * bytes % alignment == 0 &&
          static_cast<std::size_t>(layout.batch_stride) * bytes % alignment == 0);
}

bool batches_aligned(const Layout& layout, std::uint32_t alignment) {
  return alignment == 0 || layout.batches == 1 ||
         static_cast<std::size_t>(layout.batch_stride) * element_bytes(layout.type) % alignment ==
             0;
}

cublasStatus_t suits(const Algorithm& algorithm, const Layouts& layouts,
                     const cublasLtMatmulDescOpaque_t& descriptor) {
  for (const Layout* one : layouts.all())
    if (!lines_aligned(*one, algorithm.alignment) ||
        !batches_aligned(*one, algorithm.matrix_alignment))
      return CUBLAS_STATUS_NOT_SUPPORTED;
  const std::uint64_t inner = descriptor.a == CUBLAS_OP_N ? layouts.a->columns : layouts.a->rows;
  if (algorithm.split_k > 1 && inner < kShortestSplit) return CUBLAS_STATUS_NOT_SUPPORTED;
  return CUBLAS_STATUS_SUCCESS;
}

cublasLtMatmulHeuristicResult_t result_of(const Algorithm& algorithm) {
  cublasLtMatmulHeuristicResult_t result{};
  result.algo.data[0] = kMark;
  result.algo.data[1] = static_cast<std::uint64_t>(&algorithm - kAlgorithms);
  result.workspaceSize = algorithm.workspace_bytes;
  result.state = CUBLAS_STATUS_SUCCESS;
  result.wavesCount = 1.0f;
  return result;
}

/// @param value null: only how large it is
template <class Value>
cublasStatus_t give(Value given, void* value, std::size_t bytes, std::size_t* written) {
  if (written != nullptr) *written = sizeof given;
  if (value == nullptr && bytes == 0) return CUBLAS_STATUS_SUCCESS;
  if (bytes != sizeof given) return CUBLAS_STATUS_INVALID_VALUE;
  std::memcpy(value, &given, sizeof given);
  return CUBLAS_STATUS_SUCCESS;
}

bool aligned(const void* memory, std::uint32_t alignment) {
  return alignment == 0 || reinterpret_cast<std::uintptr_t>(memory) % alignment == 0;
}

bool on_device(const void* memory, std::size_t bytes) {
  return kind_of(memory, bytes) == MemoryKind::Device;
}

}  // namespace
}  // namespace cuda_emulator

using namespace cuda_emulator;

cublasStatus_t cublasLtMatmulAlgoGetHeuristic(cublasLtHandle_t handle,
                                              cublasLtMatmulDesc_t descriptor,
                                              cublasLtMatrixLayout_t a, cublasLtMatrixLayout_t b,
                                              cublasLtMatrixLayout_t c, cublasLtMatrixLayout_t d,
                                              cublasLtMatmulPreference_t preference, int requested,
                                              cublasLtMatmulHeuristicResult_t results[],
                                              int* returned) {
  if (const auto failure = Runtime::get().failure_of(__func__))
    return static_cast<cublasStatus_t>(*failure);
  *returned = 0;
  if (handle == nullptr || requested < 1) return CUBLAS_STATUS_INVALID_VALUE;
  const Layouts layouts{a, b, c, d};
  if (const cublasStatus_t status = check(*descriptor, layouts); status != CUBLAS_STATUS_SUCCESS)
    return status;
  const std::uint32_t least = *std::ranges::min_element(preference->alignment);
  for (const Algorithm& one : kAlgorithms) {
    const bool wanted = one.workspace_bytes <= preference->workspace_bytes &&
                        (one.reduction & preference->reductions) == one.reduction &&
                        one.matrix_alignment <= least;
    if (wanted && suits(one, layouts, *descriptor) == CUBLAS_STATUS_SUCCESS &&
        *returned < requested)
      results[(*returned)++] = result_of(one);
  }
  return *returned > 0 ? CUBLAS_STATUS_SUCCESS : CUBLAS_STATUS_NOT_SUPPORTED;
}

cublasStatus_t cublasLtMatmulAlgoCheck(cublasLtHandle_t handle, cublasLtMatmulDesc_t descriptor,
                                       cublasLtMatrixLayout_t a, cublasLtMatrixLayout_t b,
                                       cublasLtMatrixLayout_t c, cublasLtMatrixLayout_t d,
                                       const cublasLtMatmulAlgo_t* algo,
                                       cublasLtMatmulHeuristicResult_t* result) {
  if (const auto failure = Runtime::get().failure_of(__func__))
    return static_cast<cublasStatus_t>(*failure);
  const Algorithm* algorithm = algorithm_of(algo);
  if (handle == nullptr || algorithm == nullptr) return CUBLAS_STATUS_INVALID_VALUE;
  const Layouts layouts{a, b, c, d};
  if (const cublasStatus_t status = check(*descriptor, layouts); status != CUBLAS_STATUS_SUCCESS)
    return status;
  const cublasStatus_t status = suits(*algorithm, layouts, *descriptor);
  if (status == CUBLAS_STATUS_SUCCESS) *result = result_of(*algorithm);
  return status;
}

cublasStatus_t cublasLtMatmulAlgoConfigGetAttribute(const cublasLtMatmulAlgo_t* algo,
                                                    cublasLtMatmulAlgoConfigAttributes_t attribute,
                                                    void* value, std::size_t bytes,
                                                    std::size_t* written) {
  const Algorithm* algorithm = algorithm_of(algo);
  if (algorithm == nullptr) return CUBLAS_STATUS_INVALID_VALUE;
  switch (attribute) {
    case CUBLASLT_ALGO_CONFIG_ID:
      return give(algorithm->id, value, bytes, written);
    case CUBLASLT_ALGO_CONFIG_SPLITK_NUM:
      return give(algorithm->split_k, value, bytes, written);
    case CUBLASLT_ALGO_CONFIG_REDUCTION_SCHEME:
      return give(algorithm->reduction, value, bytes, written);
    case CUBLASLT_ALGO_CONFIG_TILE_ID:
    case CUBLASLT_ALGO_CONFIG_CTA_SWIZZLING:
    case CUBLASLT_ALGO_CONFIG_CUSTOM_OPTION:
    case CUBLASLT_ALGO_CONFIG_STAGES_ID:
      return give(std::uint32_t{0}, value, bytes, written);
    case CUBLASLT_ALGO_CONFIG_INNER_SHAPE_ID:
    case CUBLASLT_ALGO_CONFIG_CLUSTER_SHAPE_ID:
      return give(std::uint16_t{0}, value, bytes, written);
  }
  return CUBLAS_STATUS_INVALID_VALUE;
}

cublasStatus_t cublasLtMatmulAlgoCapGetAttribute(const cublasLtMatmulAlgo_t* algo,
                                                 cublasLtMatmulAlgoCapAttributes_t attribute,
                                                 void* value, std::size_t bytes,
                                                 std::size_t* written) {
  const Algorithm* algorithm = algorithm_of(algo);
  if (algorithm == nullptr) return CUBLAS_STATUS_INVALID_VALUE;
  switch (attribute) {
    case CUBLASLT_ALGO_CAP_SPLITK_SUPPORT:
      return give(std::int32_t{algorithm->split_k > 1}, value, bytes, written);
    case CUBLASLT_ALGO_CAP_REDUCTION_SCHEME_MASK:
      return give(algorithm->reduction, value, bytes, written);
    case CUBLASLT_ALGO_CAP_STRIDED_BATCH_SUPPORT:
      return give(std::int32_t{1}, value, bytes, written);
    case CUBLASLT_ALGO_CAP_MIN_ALIGNMENT_A_BYTES:
    case CUBLASLT_ALGO_CAP_MIN_ALIGNMENT_B_BYTES:
    case CUBLASLT_ALGO_CAP_MIN_ALIGNMENT_C_BYTES:
    case CUBLASLT_ALGO_CAP_MIN_ALIGNMENT_D_BYTES:
      return give(std::max<std::uint32_t>(algorithm->matrix_alignment, 2), value, bytes, written);
  }
  return CUBLAS_STATUS_INVALID_VALUE;
}

cublasStatus_t cublasLtMatmul(cublasLtHandle_t handle, cublasLtMatmulDesc_t descriptor,
                              const void* alpha, const void* A, cublasLtMatrixLayout_t a,
                              const void* B, cublasLtMatrixLayout_t b, const void* beta,
                              const void* C, cublasLtMatrixLayout_t c, void* D,
                              cublasLtMatrixLayout_t d, const cublasLtMatmulAlgo_t* algo,
                              void* workspace, std::size_t workspace_bytes, cudaStream_t stream) {
  if (const auto failure = Runtime::get().failure_of(__func__))
    return static_cast<cublasStatus_t>(*failure);
  if (state_of_device() != cudaSuccess) return CUBLAS_STATUS_EXECUTION_FAILED;
  const std::shared_ptr<CUstream_st> on = stream_of(stream);
  if (handle == nullptr || on == nullptr) return CUBLAS_STATUS_INVALID_VALUE;
  const Layouts layouts{a, b, c, d};
  if (const cublasStatus_t status = check(*descriptor, layouts); status != CUBLAS_STATUS_SUCCESS)
    return status;
  const Algorithm* algorithm = algo == nullptr ? &std::end(kAlgorithms)[-1] : algorithm_of(algo);
  if (algorithm == nullptr) return CUBLAS_STATUS_INVALID_VALUE;
  if (const cublasStatus_t status = suits(*algorithm, layouts, *descriptor);
      status != CUBLAS_STATUS_SUCCESS)
    return status;
  if (algorithm->workspace_bytes > 0 &&
      (workspace_bytes < algorithm->workspace_bytes || !on_device(workspace, workspace_bytes)))
    return CUBLAS_STATUS_INVALID_VALUE;

  Product product{
      {A, *a, descriptor->a != CUBLAS_OP_N}, {B, *b, descriptor->b != CUBLAS_OP_N}, C, D, *d};
  std::memcpy(&product.alpha, alpha, sizeof product.alpha);
  std::memcpy(&product.beta, beta, sizeof product.beta);
  product.split_k = static_cast<unsigned>(algorithm->split_k);
  if (!on_device(A, extent_bytes(*a)) || !on_device(B, extent_bytes(*b)) ||
      !on_device(D, extent_bytes(*d)) || (product.beta != 0.0f && !on_device(C, extent_bytes(*c))))
    return CUBLAS_STATUS_INVALID_VALUE;
  for (const void* memory : {A, B, C, static_cast<const void*>(D)})
    if (!aligned(memory, algorithm->matrix_alignment)) return CUBLAS_STATUS_INVALID_VALUE;
  const bool several = d->batches > 1;
  if (d->batches > Runtime::get().most_batches_that_round_alike) product.split_k = 2;
  if (note_loaded(on->device, algorithm, std::uint64_t{several} << 32 | std::uint64_t{a->type}))
    count(Runtime::get().counters.product_loads);
  const cudaError_t submitted = on->submit({[product](CUstream_st&) { compute(product); }});
  return submitted == cudaSuccess ? CUBLAS_STATUS_SUCCESS : CUBLAS_STATUS_EXECUTION_FAILED;
}
