// Matrix products: 16 rows of A at a time, as float32 and K-major, against each column of B, so that
// vector lanes are outputs and each output's sum has one order.
#include "matmul.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <vector>

namespace cuda_emulator {
namespace {

constexpr std::size_t kLanes = 16;

float half_to_float(std::uint16_t bits) {
  const std::uint32_t sign = std::uint32_t{bits} >> 15 << 31, mantissa = bits & 0x3ffu;
  const std::uint32_t exponent = bits >> 10 & 0x1fu;
  if (exponent == 0) {
    const float small = std::ldexp(static_cast<float>(mantissa), -24);
    return sign != 0 ? -small : small;
  }
  return std::bit_cast<float>(sign | (exponent == 31 ? 0xffu : exponent + 112) << 23 |
                              mantissa << 13);
}

float load(const void* data, cudaDataType type, std::int64_t index) {
  if (type == CUDA_R_32F) return static_cast<const float*>(data)[index];
  const std::uint16_t bits = static_cast<const std::uint16_t*>(data)[index];
  return type == CUDA_R_16F ? half_to_float(bits)
                            : std::bit_cast<float>(std::uint32_t{bits} << 16);
}

std::int64_t place(const Layout& layout, std::uint64_t row, std::uint64_t column, int batch) {
  const bool by_row = layout.order == CUBLASLT_ORDER_ROW;
  const auto major = static_cast<std::int64_t>(by_row ? row : column);
  const auto minor = static_cast<std::int64_t>(by_row ? column : row);
  return batch * layout.batch_stride + major * layout.leading_dimension + minor;
}

float element(const Operand& operand, std::uint64_t row, std::uint64_t column, int batch) {
  if (operand.transposed) std::swap(row, column);
  return load(operand.data, operand.layout.type, place(operand.layout, row, column, batch));
}

inline __attribute__((always_inline)) void add_products(const float* a, const float* b,
                                                        std::size_t from, std::size_t to,
                                                        float* sums) {
  float lanes[kLanes] = {};
  for (std::size_t k = from; k < to; ++k)
    for (std::size_t lane = 0; lane < kLanes; ++lane)
      lanes[lane] = __builtin_fmaf(a[k * kLanes + lane], b[k], lanes[lane]);
  std::memcpy(sums, lanes, sizeof lanes);
}

// What the sanitizers have to see are the operands, and those were copied here.
#define UNWATCHED no_sanitize("address", "undefined", "thread")
#if defined(__x86_64__)
__attribute__((target("avx2,fma"), UNWATCHED)) void add_products_fast(const float* a,
                                                                     const float* b,
                                                                     std::size_t from,
                                                                     std::size_t to, float* sums) {
  add_products(a, b, from, to, sums);
}
#endif
__attribute__((UNWATCHED)) void add_products_anywhere(const float* a, const float* b,
                                                      std::size_t from, std::size_t to,
                                                      float* sums) {
  add_products(a, b, from, to, sums);
}
#undef UNWATCHED

auto chosen_add_products() {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return &add_products_fast;
#endif
  return &add_products_anywhere;
}

void compute_batch(const Product& product, int batch) {
  const std::uint64_t m = product.d_layout.rows, n = product.d_layout.columns;
  const std::uint64_t inner = product.a.columns();
  const auto add = chosen_add_products();
  std::vector<float> b(n * inner), a(kLanes * inner);
  for (std::uint64_t column = 0; column < n; ++column)
    for (std::uint64_t k = 0; k < inner; ++k)
      b[column * inner + k] = element(product.b, k, column, batch);
  auto* d = static_cast<float*>(product.d);
  const auto* c = static_cast<const float*>(product.c);
  for (std::uint64_t first = 0; first < m; first += kLanes) {
    const std::uint64_t rows = std::min<std::uint64_t>(kLanes, m - first);
    for (std::uint64_t row = 0; row < rows; ++row)
      for (std::uint64_t k = 0; k < inner; ++k)
        a[k * kLanes + row] = element(product.a, first + row, k, batch);
    for (std::uint64_t column = 0; column < n; ++column) {
      float sums[kLanes] = {};
      for (unsigned part = 0; part < product.split_k; ++part) {
        float partial[kLanes];
        add(a.data(), b.data() + column * inner, inner * part / product.split_k,
            inner * (part + 1) / product.split_k, partial);
        for (std::size_t lane = 0; lane < kLanes; ++lane)
          sums[lane] = part == 0 ? partial[lane] : sums[lane] + partial[lane];
      }
      for (std::uint64_t row = 0; row < rows; ++row) {
        const std::int64_t at = place(product.d_layout, first + row, column, batch);
        const float scaled = product.alpha * sums[row];
        d[at] = product.beta == 0.0f ? scaled : std::fma(product.beta, c[at], scaled);
      }
    }
  }
}

}  // namespace

std::size_t element_bytes(cudaDataType type) { return type == CUDA_R_32F ? 4 : 2; }

std::size_t extent_bytes(const Layout& layout) {
  const std::int64_t last =
      place(layout, layout.rows - 1, layout.columns - 1, layout.batches - 1);
  return static_cast<std::size_t>(last + 1) * element_bytes(layout.type);
}

void compute(const Product& product) {
  for (int batch = 0; batch < product.d_layout.batches; ++batch) compute_batch(product, batch);
}

}  // namespace cuda_emulator
