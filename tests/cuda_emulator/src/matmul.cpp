// Matrix products: 16 rows of A at a time, as float32 and K-major, against each column of B, so
// that vector lanes are outputs and each output's sum has one order.
#include "matmul.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <utility>
#include <vector>

namespace cuda_emulator {
namespace {

constexpr std::size_t kLanes = 16;

// What the sanitizers have to see are the operands, and those are copied before they are used.
#define UNWATCHED __attribute__((no_sanitize("address", "undefined", "thread")))

UNWATCHED float half_to_float(std::uint16_t bits) {
  const std::uint32_t sign = std::uint32_t{bits} >> 15 << 31, mantissa = bits & 0x3ffu;
  const std::uint32_t exponent = bits >> 10 & 0x1fu;
  if (exponent == 0) {
    const float small = static_cast<float>(mantissa) * 0x1p-24f;
    return sign != 0 ? -small : small;
  }
  return std::bit_cast<float>(sign | (exponent == 31 ? 0xffu : exponent + 112) << 23 |
                              mantissa << 13);
}

/// Every `step`-th of `to` becomes the next of `from`.
UNWATCHED void widen(const std::byte* from, cudaDataType type, std::size_t count, float* to,
                     std::size_t step) {
  for (std::size_t i = 0; i < count; ++i) {
    if (type == CUDA_R_32F) {
      __builtin_memcpy(&to[i * step], from + i * 4, 4);
      continue;
    }
    std::uint16_t bits = 0;
    __builtin_memcpy(&bits, from + i * 2, 2);
    to[i * step] = type == CUDA_R_16F
                       ? half_to_float(bits)
                       : __builtin_bit_cast(float, static_cast<std::uint32_t>(bits) << 16);
  }
}

std::int64_t place(const Layout& layout, std::uint64_t row, std::uint64_t column, int batch) {
  const bool by_row = layout.order == CUBLASLT_ORDER_ROW;
  const auto major = static_cast<std::int64_t>(by_row ? row : column);
  const auto minor = static_cast<std::int64_t>(by_row ? column : row);
  return batch * layout.batch_stride + major * layout.leading_dimension + minor;
}

/// Copies of an operand's rows or columns.
class Reader {
 public:
  Reader(const Operand& operand, int batch) : operand_(operand), batch_(batch) {}

  /// The elements [row, 0] to [row, K), every `step`-th of `to`.
  void row(std::uint64_t row, float* to, std::size_t step) {
    line(at(row, 0), at(row, 1) - at(row, 0), operand_.columns(), to, step);
  }
  void column(std::uint64_t column, float* to) {
    line(at(0, column), at(1, column) - at(0, column), operand_.rows(), to, 1);
  }

 private:
  [[nodiscard]] std::int64_t at(std::uint64_t row, std::uint64_t column) const {
    if (operand_.transposed) std::swap(row, column);
    return place(operand_.layout, row, column, batch_);
  }

  void line(std::int64_t first, std::int64_t stride, std::uint64_t count, float* to,
            std::size_t step) {
    const auto bytes = static_cast<std::int64_t>(element_bytes(operand_.layout.type));
    const auto* from = static_cast<const std::byte*>(operand_.data) + first * bytes;
    copy_.resize(count * static_cast<std::size_t>(bytes));
    if (stride == 1) {
      std::memcpy(copy_.data(), from, copy_.size());
    } else {
      for (std::int64_t i = 0; i < static_cast<std::int64_t>(count); ++i)
        std::memcpy(copy_.data() + i * bytes, from + i * stride * bytes,
                    static_cast<std::size_t>(bytes));
    }
    widen(copy_.data(), operand_.layout.type, count, to, step);
  }

  const Operand& operand_;
  int batch_;
  std::vector<std::byte> copy_;
};

UNWATCHED inline __attribute__((always_inline)) void add_products(const float* a, const float* b,
                                                                  std::size_t from, std::size_t to,
                                                                  float* sums) {
  float lanes[kLanes] = {};
  for (std::size_t k = from; k < to; ++k)
    for (std::size_t lane = 0; lane < kLanes; ++lane)
      lanes[lane] = __builtin_fmaf(a[k * kLanes + lane], b[k], lanes[lane]);
  __builtin_memcpy(sums, lanes, sizeof lanes);
}

#if defined(__x86_64__)
UNWATCHED __attribute__((target("avx2,fma"))) void add_products_fast(const float* a, const float* b,
                                                                     std::size_t from,
                                                                     std::size_t to, float* sums) {
  add_products(a, b, from, to, sums);
}
#endif
UNWATCHED void add_products_anywhere(const float* a, const float* b, std::size_t from,
                                     std::size_t to, float* sums) {
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
  Reader rows_of_a(product.a, batch), columns_of_b(product.b, batch);
  for (std::uint64_t column = 0; column < n; ++column)
    columns_of_b.column(column, b.data() + column * inner);
  auto* d = static_cast<float*>(product.d);
  const auto* c = static_cast<const float*>(product.c);
  for (std::uint64_t first = 0; first < m; first += kLanes) {
    const std::uint64_t rows = std::min<std::uint64_t>(kLanes, m - first);
    for (std::uint64_t row = 0; row < rows; ++row)
      rows_of_a.row(first + row, a.data() + row, kLanes);
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
  const std::int64_t last = place(layout, layout.rows - 1, layout.columns - 1, layout.batches - 1);
  return static_cast<std::size_t>(last + 1) * element_bytes(layout.type);
}

void compute(const Product& product) {
  for (int batch = 0; batch < product.d_layout.batches; ++batch) compute_batch(product, batch);
}

}  // namespace cuda_emulator
