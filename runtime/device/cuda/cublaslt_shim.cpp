// The functions of cuBLASLt that are used, each of which calls the library's.
#include <cublasLt.h>

#include "runtime/device/cuda/shared_library.h"
#include "sharding/error.h"

namespace {

const initrt::cuda::SharedLibrary& library() {
  static const initrt::cuda::SharedLibrary opened(
      fmt::format("libcublasLt.so.{}", CUBLAS_VER_MAJOR), INITRT_CUBLASLT_LIBRARY,
      "GPUs need it; it comes with CUDA, and LD_LIBRARY_PATH can say where it is");
  return opened;
}

}  // namespace

#define CUBLASLT(function) INITRT_FUNCTION_OF(library, function)

cublasStatus_t cublasLtCreate(cublasLtHandle_t* handle) { return CUBLASLT(cublasLtCreate)(handle); }

cublasStatus_t cublasLtDestroy(cublasLtHandle_t handle) {
  return CUBLASLT(cublasLtDestroy)(handle);
}

const char* cublasLtGetStatusString(cublasStatus_t status) {
  return CUBLASLT(cublasLtGetStatusString)(status);
}

cublasStatus_t cublasLtMatmul(cublasLtHandle_t handle, cublasLtMatmulDesc_t operation,
                              const void* alpha, const void* a, cublasLtMatrixLayout_t a_layout,
                              const void* b, cublasLtMatrixLayout_t b_layout, const void* beta,
                              const void* c, cublasLtMatrixLayout_t c_layout, void* d,
                              cublasLtMatrixLayout_t d_layout,
                              const cublasLtMatmulAlgo_t* algorithm, void* workspace,
                              size_t workspace_bytes, cudaStream_t stream) {
  return CUBLASLT(cublasLtMatmul)(handle, operation, alpha, a, a_layout, b, b_layout, beta, c,
                                  c_layout, d, d_layout, algorithm, workspace, workspace_bytes,
                                  stream);
}

cublasStatus_t cublasLtMatmulAlgoCheck(cublasLtHandle_t handle, cublasLtMatmulDesc_t operation,
                                       cublasLtMatrixLayout_t a, cublasLtMatrixLayout_t b,
                                       cublasLtMatrixLayout_t c, cublasLtMatrixLayout_t d,
                                       const cublasLtMatmulAlgo_t* algorithm,
                                       cublasLtMatmulHeuristicResult_t* result) {
  return CUBLASLT(cublasLtMatmulAlgoCheck)(handle, operation, a, b, c, d, algorithm, result);
}

cublasStatus_t cublasLtMatmulAlgoConfigGetAttribute(const cublasLtMatmulAlgo_t* algorithm,
                                                    cublasLtMatmulAlgoConfigAttributes_t attribute,
                                                    void* value, size_t bytes, size_t* written) {
  return CUBLASLT(cublasLtMatmulAlgoConfigGetAttribute)(algorithm, attribute, value, bytes,
                                                        written);
}

cublasStatus_t cublasLtMatmulAlgoGetHeuristic(cublasLtHandle_t handle,
                                              cublasLtMatmulDesc_t operation,
                                              cublasLtMatrixLayout_t a, cublasLtMatrixLayout_t b,
                                              cublasLtMatrixLayout_t c, cublasLtMatrixLayout_t d,
                                              cublasLtMatmulPreference_t preference, int most,
                                              cublasLtMatmulHeuristicResult_t* results,
                                              int* count) {
  return CUBLASLT(cublasLtMatmulAlgoGetHeuristic)(handle, operation, a, b, c, d, preference, most,
                                                  results, count);
}

cublasStatus_t cublasLtMatmulDescCreate(cublasLtMatmulDesc_t* operation,
                                        cublasComputeType_t compute, cudaDataType_t scale) {
  return CUBLASLT(cublasLtMatmulDescCreate)(operation, compute, scale);
}

cublasStatus_t cublasLtMatmulDescDestroy(cublasLtMatmulDesc_t operation) {
  return CUBLASLT(cublasLtMatmulDescDestroy)(operation);
}

cublasStatus_t cublasLtMatmulDescSetAttribute(cublasLtMatmulDesc_t operation,
                                              cublasLtMatmulDescAttributes_t attribute,
                                              const void* value, size_t bytes) {
  return CUBLASLT(cublasLtMatmulDescSetAttribute)(operation, attribute, value, bytes);
}

cublasStatus_t cublasLtMatmulPreferenceCreate(cublasLtMatmulPreference_t* preference) {
  return CUBLASLT(cublasLtMatmulPreferenceCreate)(preference);
}

cublasStatus_t cublasLtMatmulPreferenceDestroy(cublasLtMatmulPreference_t preference) {
  return CUBLASLT(cublasLtMatmulPreferenceDestroy)(preference);
}

cublasStatus_t cublasLtMatmulPreferenceSetAttribute(cublasLtMatmulPreference_t preference,
                                                    cublasLtMatmulPreferenceAttributes_t attribute,
                                                    const void* value, size_t bytes) {
  return CUBLASLT(cublasLtMatmulPreferenceSetAttribute)(preference, attribute, value, bytes);
}

cublasStatus_t cublasLtMatrixLayoutCreate(cublasLtMatrixLayout_t* layout, cudaDataType type,
                                          uint64_t rows, uint64_t columns, int64_t stride) {
  return CUBLASLT(cublasLtMatrixLayoutCreate)(layout, type, rows, columns, stride);
}

cublasStatus_t cublasLtMatrixLayoutDestroy(cublasLtMatrixLayout_t layout) {
  return CUBLASLT(cublasLtMatrixLayoutDestroy)(layout);
}

cublasStatus_t cublasLtMatrixLayoutSetAttribute(cublasLtMatrixLayout_t layout,
                                                cublasLtMatrixLayoutAttribute_t attribute,
                                                const void* value, size_t bytes) {
  return CUBLASLT(cublasLtMatrixLayoutSetAttribute)(layout, attribute, value, bytes);
}
