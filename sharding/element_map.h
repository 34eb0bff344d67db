// What elements of a file become where they are stored otherwise than the model's.
#pragma once

namespace initrt {

/// x + add; or log(-x), of files that hold -exp of an element.
struct ElementMap {
  float add = 0.0f;
  bool log_of_negated = false;

  [[nodiscard]] constexpr bool changes() const { return add != 0 || log_of_negated; }
  bool operator==(const ElementMap&) const = default;
};

}  // namespace initrt
