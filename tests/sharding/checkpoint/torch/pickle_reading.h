// Pickles read from memory, with a few globals allowed.
#pragma once

#include <gtest/gtest.h>

#include <string>

#include "sharding/checkpoint/torch/pickle.h"
#include "tests/sharding/errors.h"
#include "tests/sharding/memory_files.h"

namespace initrt::testing {

inline constexpr std::string_view kGlobals[] = {"collections.OrderedDict", "torch.Size", "torch.f"};

inline Pickle read_bytes(const std::string& bytes, const PickleLimits& limits = {}) {
  MemoryFiles files;
  files.content["p"] = bytes;
  WindowedReader reader(files, "p", 0, bytes.size());
  return read_pickle(reader, 0, bytes.size(), "p", kGlobals, limits);
}

inline std::string pickle_error(const std::string& bytes, const PickleLimits& limits = {}) {
  const std::string text = error_of([&] { (void)read_bytes(bytes, limits); });
  EXPECT_TRUE(text.starts_with("p: ")) << text;
  return text;
}

}  // namespace initrt::testing
