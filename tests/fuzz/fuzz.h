// What every fuzz target asserts: its parser either gives a result whose invariants hold, or throws
// an Error of one printable line. All else is a finding and ends the process: another exception, an
// allocation or a time past the limits of options.txt, whatever the sanitizers see.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "sharding/checkpoint/catalog.h"
#include "sharding/error.h"

namespace initrt::fuzz {

/// Prints the finding and ends the process.
[[noreturn]] void finding(std::string_view what);

inline std::string text_of(const std::uint8_t* data, std::size_t bytes) {
  return {reinterpret_cast<const char*>(data), bytes};
}

/// A finding unless the error is one printable line with `named` (a path) in it.
void expect_one_line(const Error& error, std::string_view named);

/// Runs `parse`, which checks what it gets. @returns what LLVMFuzzerTestOneInput returns
/// @param named what each of its errors must name; "" for nothing
template <class Function>
int one_input(std::string_view named, const Function& parse) {
  try {
    parse();
  } catch (const Error& error) {
    expect_one_line(error, named);
  }
  return 0;
}

/// A finding unless the catalog, read from `files`, keeps its invariants.
void expect_invariants(const Catalog& catalog, Files& files);

}  // namespace initrt::fuzz
