// What codes of scales stand for, and nothing else: files that are compiled for one instruction set
// include it.
#pragma once

namespace initrt {

/// 256 numbers, ascending, in [-1, 1]: bitsandbytes' create_dynamic_map() (arXiv:1511.04561).
[[nodiscard]] const float* dynamic_map();

}  // namespace initrt
