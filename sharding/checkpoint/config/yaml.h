// YAML as the small config files beside a checkpoint hold it: mappings, sequences and scalars, no
// anchors, aliases or tags of its own. Parsed by libyaml.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string_view>

namespace initrt {

/// The one document in `text`, its plain scalars being null, booleans and numbers as in YAML's core
/// schema (and YAML 1.1's 1e-05 without a dot). `where` (a path) opens every error.
/// @throws Error with the line where the text is not YAML, a key repeats or is no text, nesting
///         passes 64, or an anchor or alias is used
[[nodiscard]] nlohmann::json parse_yaml(std::string_view text, std::string_view where);

}  // namespace initrt
