// Matrix products, split over threads.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "runtime/device/cpu/kernels.h"
#include "runtime/device/cpu/thread_pool.h"
#include "runtime/device/ops.h"
#include "sharding/memory_plan.h"

namespace initrt::cpu {

/// Bytes that linear() writes inputs into, in the form that its kernels take; 0 where they take
/// them as they are.
/// @throws Error where no kernel is for weights of that dtype, or for so many columns of a format
[[nodiscard]] std::uint64_t linear_scratch_bytes(const Kernels& kernels,
                                                 const ProductSizes& products);

/// As Device::linear_of_each(). @throws Error where the scratch is too small
void linear(ThreadPool& pool, const Kernels& kernels, std::span<std::byte> scratch, const float* in,
            std::span<const LinearProduct> products, std::uint64_t rows);

}  // namespace initrt::cpu
