#include "sharding/checkpoint/name_index.h"

#include <gtest/gtest.h>

#include <random>
#include <string>
#include <unordered_map>

namespace initrt {
namespace {

TEST(NameIndex, OfNoNamesFindsNone) {
  const auto name_of = [](std::uint32_t) -> std::string_view { return "never asked"; };
  EXPECT_EQ(NameIndex().find("x", name_of), -1);
  EXPECT_EQ(NameIndex(0).find("", name_of), -1);
}

TEST(NameIndex, FindsWhatAMapDoesAndTheFirstOfEqualNames) {
  std::mt19937 rng(1);
  for (const std::size_t count : {1u, 2u, 5u, 100u, 20'000u}) {
    std::vector<std::string> names(count);
    for (std::string& name : names) name = "layers." + std::to_string(rng() % count) + ".weight";
    names.back() = "";
    const auto name_of = [&](std::uint32_t i) -> std::string_view { return names[i]; };
    NameIndex index(count);
    std::unordered_map<std::string, std::uint32_t> map;
    for (std::uint32_t i = 0; i < count; ++i) {
      const std::uint32_t first = map.emplace(names[i], i).first->second;
      ASSERT_EQ(index.insert(names[i], i, name_of), first);
    }
    for (std::size_t i = 0; i < 2 * count; ++i) {
      const std::string name = "layers." + std::to_string(i) + ".weight";
      const auto found = map.find(name);
      ASSERT_EQ(index.find(name, name_of), found == map.end() ? -1 : std::int64_t{found->second});
    }
    EXPECT_EQ(index.find("", name_of), count - 1);
  }
}

}  // namespace
}  // namespace initrt
