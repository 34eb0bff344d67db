// Attention and the KV cache, split over threads.
#pragma once

#include <span>

#include "runtime/device/cpu/kernels.h"
#include "runtime/device/cpu/thread_pool.h"
#include "runtime/device/ops.h"

namespace initrt::cpu {

/// As Device::store_kv() for `rows`.
void store_kv(ThreadPool& pool, const Kernels& kernels, std::span<const RowInfo> rows,
              const float* k, const float* v, const AttentionShape& shape, const KvView& cache);

/// As Device::attention() for `rows`.
void attention(ThreadPool& pool, const Kernels& kernels, std::span<const RowInfo> rows,
               const float* q, const AttentionShape& shape, const KvView& cache, float* out);

}  // namespace initrt::cpu
