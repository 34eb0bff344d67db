// Matrix products of the emulated cuBLASLt.
#include <cublasLt.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <memory>

#include "device_array.h"

namespace cuda_emulator {
namespace {

class EmulatedMatmul : public testing::Test {
 protected:
  void SetUp() override {
    reset();
    ASSERT_EQ(cublasLtCreate(&handle), CUBLAS_STATUS_SUCCESS);
    ASSERT_EQ(cublasLtMatmulDescCreate(&product, CUBLAS_COMPUTE_32F, CUDA_R_32F),
              CUBLAS_STATUS_SUCCESS);
    ASSERT_EQ(cublasLtMatmulPreferenceCreate(&preference), CUBLAS_STATUS_SUCCESS);
  }
  void TearDown() override {
    for (cublasLtMatrixLayout_t layout : layouts) cublasLtMatrixLayoutDestroy(layout);
    cublasLtMatmulPreferenceDestroy(preference);
    cublasLtMatmulDescDestroy(product);
    cublasLtDestroy(handle);
  }

  cublasLtMatrixLayout_t layout(cudaDataType type, std::uint64_t rows, std::uint64_t columns,
                                std::int64_t leading) {
    cublasLtMatrixLayout_t made = nullptr;
    EXPECT_EQ(cublasLtMatrixLayoutCreate(&made, type, rows, columns, leading),
              CUBLAS_STATUS_SUCCESS);
    layouts.push_back(made);
    return made;
  }
  template <class Value>
  void prefer(cublasLtMatmulPreferenceAttributes_t attribute, Value value) {
    ASSERT_EQ(cublasLtMatmulPreferenceSetAttribute(preference, attribute, &value, sizeof value),
              CUBLAS_STATUS_SUCCESS);
  }
  void transpose(cublasLtMatmulDescAttributes_t attribute) {
    const cublasOperation_t transposed = CUBLAS_OP_T;
    ASSERT_EQ(cublasLtMatmulDescSetAttribute(product, attribute, &transposed, sizeof transposed),
              CUBLAS_STATUS_SUCCESS);
  }
  std::vector<cublasLtMatmulHeuristicResult_t> choices(cublasLtMatrixLayout_t a,
                                                       cublasLtMatrixLayout_t b,
                                                       cublasLtMatrixLayout_t d) {
    std::vector<cublasLtMatmulHeuristicResult_t> results(8);
    int returned = 0;
    EXPECT_EQ(cublasLtMatmulAlgoGetHeuristic(handle, product, a, b, d, d, preference, 8,
                                             results.data(), &returned),
              CUBLAS_STATUS_SUCCESS);
    results.resize(static_cast<std::size_t>(returned));
    return results;
  }
  cublasStatus_t multiply(const void* A, cublasLtMatrixLayout_t a, const void* B,
                          cublasLtMatrixLayout_t b, float* D, cublasLtMatrixLayout_t d,
                          const cublasLtMatmulAlgo_t* algo, float alpha = 1.0f, float beta = 0.0f,
                          void* workspace = nullptr, std::size_t workspace_bytes = 0) {
    return cublasLtMatmul(handle, product, &alpha, A, a, B, b, &beta, D, d, D, d, algo, workspace,
                          workspace_bytes, nullptr);
  }

  cublasLtHandle_t handle = nullptr;
  cublasLtMatmulDesc_t product = nullptr;
  cublasLtMatmulPreference_t preference = nullptr;
  std::vector<cublasLtMatrixLayout_t> layouts;
};

float value(std::size_t i) { return static_cast<float>(static_cast<int>(i * 37 % 101) - 50) / 8; }

std::vector<float> values(std::size_t count, std::size_t seed) {
  std::vector<float> made(count);
  for (std::size_t i = 0; i < count; ++i) made[i] = value(i + seed);
  return made;
}

/// The upper halves: exact, for values().
std::vector<std::uint16_t> as_bfloat16(const std::vector<float>& from) {
  std::vector<std::uint16_t> made(from.size());
  for (std::size_t i = 0; i < from.size(); ++i) {
    std::uint32_t bits = 0;
    std::memcpy(&bits, &from[i], sizeof bits);
    made[i] = static_cast<std::uint16_t>(bits >> 16);
  }
  return made;
}

// Weights [out, in] row-major, activations [tokens, in] row-major: A transposed, as BLAS sees them.
TEST_F(EmulatedMatmul, WeightsTimesActivations) {
  const std::size_t out = 37, in = 24, tokens = 5, stride = 40;
  const std::vector<float> weights = values(out * in, 0), x = values(tokens * in, 7);
  transpose(CUBLASLT_MATMUL_DESC_TRANSA);
  for (const cudaDataType type : {CUDA_R_32F, CUDA_R_16BF}) {
    const DeviceArray<float> w32(weights), x32(x);
    const DeviceArray<std::uint16_t> w16(as_bfloat16(weights)), x16(as_bfloat16(x));
    const DeviceArray<float> y(tokens * stride);
    const bool wide = type == CUDA_R_32F;
    const void* A = wide ? static_cast<void*>(w32.get()) : w16.get();
    const void* B = wide ? static_cast<void*>(x32.get()) : x16.get();
    auto* a = layout(type, in, out, in);
    auto* b = layout(type, in, tokens, in);
    auto* d = layout(CUDA_R_32F, out, tokens, stride);
    const auto found = choices(a, b, d);
    ASSERT_FALSE(found.empty());
    ASSERT_EQ(multiply(A, a, B, b, y.get(), d, &found[0].algo), CUBLAS_STATUS_SUCCESS);
    const std::vector<float> result = y.read();
    for (std::size_t t = 0; t < tokens; ++t) {
      for (std::size_t o = 0; o < out; ++o) {
        float sum = 0;
        for (std::size_t k = 0; k < in; ++k) {
          sum = std::fma(weights[o * in + k], x[t * in + k], sum);
        }
        EXPECT_EQ(result[t * stride + o], sum);
      }
    }
  }
}

TEST_F(EmulatedMatmul, HalfPrecisionIsReadAsSuch) {
  // 1, -2, the smallest subnormal, 65504.
  const DeviceArray<std::uint16_t> a(std::vector<std::uint16_t>{0x3c00, 0xc000, 0x0001, 0x7bff});
  const DeviceArray<std::uint16_t> one(std::vector<std::uint16_t>{0x3c00});
  const DeviceArray<float> d(4);
  ASSERT_EQ(multiply(a.get(), layout(CUDA_R_16F, 4, 1, 4), one.get(), layout(CUDA_R_16F, 1, 1, 1),
                     d.get(), layout(CUDA_R_32F, 4, 1, 4), nullptr),
            CUBLAS_STATUS_SUCCESS);
  EXPECT_EQ(d.read(), (std::vector<float>{1.0f, -2.0f, std::ldexp(1.0f, -24), 65504.0f}));
}

TEST_F(EmulatedMatmul, AlphaBetaBatchesAndRowOrder) {
  const std::vector<float> A = values(2 * 12, 1), B = values(2 * 8, 2), D = values(2 * 6, 3);
  const DeviceArray<float> a(A), b(B), d(D);
  cublasLtMatrixLayout_t all[] = {layout(CUDA_R_32F, 3, 4, 4), layout(CUDA_R_32F, 4, 2, 2),
                                  layout(CUDA_R_32F, 3, 2, 2)};
  const std::int64_t strides[] = {12, 8, 6};
  const std::int32_t batches = 2;
  const cublasLtOrder_t order = CUBLASLT_ORDER_ROW;
  for (int i = 0; i < 3; ++i) {
    cublasLtMatrixLayoutSetAttribute(all[i], CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT, &batches, 4);
    cublasLtMatrixLayoutSetAttribute(all[i], CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET,
                                     &strides[i], 8);
    cublasLtMatrixLayoutSetAttribute(all[i], CUBLASLT_MATRIX_LAYOUT_ORDER, &order, sizeof order);
  }
  ASSERT_EQ(multiply(a.get(), all[0], b.get(), all[1], d.get(), all[2], nullptr, 2.0f, 0.5f),
            CUBLAS_STATUS_SUCCESS);
  const std::vector<float> result = d.read();
  for (std::size_t batch = 0; batch < 2; ++batch) {
    for (std::size_t i = 0; i < 6; ++i) {
      float sum = 0;
      for (std::size_t k = 0; k < 4; ++k)
        sum = std::fma(A[batch * 12 + i / 2 * 4 + k], B[batch * 8 + k * 2 + i % 2], sum);
      EXPECT_EQ(result[batch * 6 + i], std::fma(0.5f, D[batch * 6 + i], 2.0f * sum));
    }
  }
}

TEST_F(EmulatedMatmul, SplitKIsOfferedUnlessForbidden) {
  auto* a = layout(CUDA_R_32F, 16, 512, 16);
  auto* b = layout(CUDA_R_32F, 512, 4, 512);
  auto* d = layout(CUDA_R_32F, 16, 4, 16);
  prefer(CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, std::uint64_t{4} << 20);
  std::int32_t split = 0;
  const auto any = choices(a, b, d);
  ASSERT_EQ(cublasLtMatmulAlgoConfigGetAttribute(&any[0].algo, CUBLASLT_ALGO_CONFIG_SPLITK_NUM,
                                                 &split, sizeof split, nullptr),
            CUBLAS_STATUS_SUCCESS);
  EXPECT_EQ(split, 3);
  EXPECT_GT(any[0].workspaceSize, 0u);
  prefer(CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK, std::uint32_t{0});
  const auto whole = choices(a, b, d);
  cublasLtMatmulAlgoConfigGetAttribute(&whole[0].algo, CUBLASLT_ALGO_CONFIG_SPLITK_NUM, &split,
                                       sizeof split, nullptr);
  EXPECT_EQ(split, 1);

  std::vector<float> numbers = values(512 * 16, 0);
  for (float& number : numbers) number = std::exp(number);
  const DeviceArray<float> A(numbers), B(std::vector<float>(512 * 4, 0.1f));
  const DeviceArray<float> split_sum(64), whole_sum(64), workspace(1 << 20);
  EXPECT_EQ(multiply(A.get(), a, B.get(), b, split_sum.get(), d, &any[0].algo),
            CUBLAS_STATUS_INVALID_VALUE);  // no workspace
  ASSERT_EQ(multiply(A.get(), a, B.get(), b, split_sum.get(), d, &any[0].algo, 1.0f, 0.0f,
                     workspace.get(), 4 << 20),
            CUBLAS_STATUS_SUCCESS);
  ASSERT_EQ(multiply(A.get(), a, B.get(), b, whole_sum.get(), d, &whole[0].algo),
            CUBLAS_STATUS_SUCCESS);
  EXPECT_NE(split_sum.read(), whole_sum.read());
}

TEST_F(EmulatedMatmul, AlgorithmsWantTheirAlignment) {
  auto* a = layout(CUDA_R_32F, 16, 8, 16);
  auto* b = layout(CUDA_R_32F, 8, 4, 8);
  auto* d = layout(CUDA_R_32F, 16, 4, 16);
  auto* odd = layout(CUDA_R_32F, 16, 8, 17);
  const auto found = choices(a, b, d);
  std::uint32_t alignment = 0;
  ASSERT_EQ(
      cublasLtMatmulAlgoCapGetAttribute(&found[0].algo, CUBLASLT_ALGO_CAP_MIN_ALIGNMENT_A_BYTES,
                                        &alignment, sizeof alignment, nullptr),
      CUBLAS_STATUS_SUCCESS);
  EXPECT_EQ(alignment, 16u);
  const DeviceArray<float> A(200), B(32), D(64);
  EXPECT_EQ(multiply(A.get() + 1, a, B.get(), b, D.get(), d, &found[0].algo),
            CUBLAS_STATUS_INVALID_VALUE);
  EXPECT_EQ(multiply(A.get(), a, B.get(), b, D.get(), d, &found[0].algo), CUBLAS_STATUS_SUCCESS);
  cublasLtMatmulHeuristicResult_t result{};
  EXPECT_EQ(cublasLtMatmulAlgoCheck(handle, product, odd, b, d, d, &found[0].algo, &result),
            CUBLAS_STATUS_NOT_SUPPORTED);
  EXPECT_EQ(cublasLtMatmulAlgoCheck(handle, product, a, b, d, d, &found[0].algo, &result),
            CUBLAS_STATUS_SUCCESS);
  prefer(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, std::uint32_t{4});
  const auto any = choices(a, b, d);
  EXPECT_EQ(multiply(A.get() + 1, a, B.get(), b, D.get(), d, &any[0].algo), CUBLAS_STATUS_SUCCESS);
}

TEST_F(EmulatedMatmul, WhatDoesNotFitIsRefused) {
  auto* a = layout(CUDA_R_32F, 16, 8, 16);
  auto* b = layout(CUDA_R_32F, 8, 4, 8);
  auto* d = layout(CUDA_R_32F, 16, 4, 16);
  const DeviceArray<float> A(16 * 8), B(8 * 4), D(16 * 4);
  EXPECT_EQ(multiply(A.get(), b, B.get(), b, D.get(), d, nullptr), CUBLAS_STATUS_INVALID_VALUE);
  EXPECT_EQ(multiply(A.get() + 4, a, B.get(), b, D.get(), d, nullptr),
            CUBLAS_STATUS_INVALID_VALUE);  // runs past its end
  std::vector<float> host(64);
  EXPECT_EQ(multiply(A.get(), a, B.get(), b, host.data(), d, nullptr), CUBLAS_STATUS_INVALID_VALUE);
  fail_call("cublasLtMatmul", CUBLAS_STATUS_EXECUTION_FAILED);
  EXPECT_EQ(multiply(A.get(), a, B.get(), b, D.get(), d, nullptr), CUBLAS_STATUS_EXECUTION_FAILED);
  EXPECT_EQ(multiply(A.get(), a, B.get(), b, D.get(), d, nullptr), CUBLAS_STATUS_SUCCESS);
  EXPECT_STREQ(cublasLtGetStatusName(CUBLAS_STATUS_EXECUTION_FAILED),
               "CUBLAS_STATUS_EXECUTION_FAILED");
}

}  // namespace
}  // namespace cuda_emulator
