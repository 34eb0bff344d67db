// Apart from kv_cache.h: what the CPU's kernels include declares no inline functions.
#pragma once

#include <cstdint>

namespace initrt {

/// Positions that attention takes at once, from a multiple of it on.
inline constexpr std::uint32_t kKvTile = 64;

}  // namespace initrt
