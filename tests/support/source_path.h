// Where a test finds files of the source tree: references, ready jobs.
#pragma once

#include <string>
#include <string_view>

namespace initrt::testing {

/// The path of what is in the tree under this name: source_path("configs/smollm2.json").
[[nodiscard]] std::string source_path(std::string_view name);

}  // namespace initrt::testing
