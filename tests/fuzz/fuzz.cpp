#include "tests/fuzz/fuzz.h"

#include <cstdio>
#include <cstdlib>

#include "tests/sharding/checkpoint/catalog_invariants.h"
#include "tests/sharding/one_line.h"

// HandleDeleter memory that AddressSanitizer holds back counts as resident: its default of 256 MB
// would take half of what options.txt allows.
extern "C" const char* __asan_default_options();
extern "C" const char* __asan_default_options() { return "quarantine_size_mb=32"; }

namespace initrt::fuzz {

void finding(std::string_view what) {
  std::fprintf(stderr, "FINDING: %.*s\n", static_cast<int>(what.size()), what.data());
  std::abort();
}

void expect_one_line(const Error& error, std::string_view named) {
  const std::string text = error.what();
  if (!testing::is_one_line(text)) finding("an error that is not one printable line: " + text);
  if (text.find(named) == std::string::npos) {
    finding(fmt::format("an error that does not name {}: {}", named, text));
  }
}

void expect_invariants(const Catalog& catalog, Files& files) {
  const std::string broken = testing::broken_invariant(catalog, files);
  if (!broken.empty()) finding("the catalog is wrong in " + broken);
}

}  // namespace initrt::fuzz
