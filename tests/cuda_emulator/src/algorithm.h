// The algorithms that a product may be computed with, and which one suits which product.
#pragma once

#include <cstdint>

#include "matmul.h"

struct cublasLtMatmulPreferenceOpaque_t {
  std::uint64_t workspace_bytes = 0;
  std::uint32_t reductions = CUBLASLT_REDUCTION_SCHEME_MASK;
  std::uint32_t alignment[4] = {256, 256, 256, 256};  ///< of A, B, C and D, bytes
};
