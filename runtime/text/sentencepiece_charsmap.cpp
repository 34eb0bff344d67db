// The check of a normalization table. Its double array is walked from the root, a byte of the key
// at a time, through all that a search can reach.
#include <algorithm>
#include <cstdint>
#include <cstring>
#include <vector>

#include "runtime/text/double_array.h"
#include "runtime/text/sentencepiece_model.h"
#include "sharding/error.h"

namespace initrt {
namespace {

// A search keeps one result for each byte of the key at most, and the library has room for 32.
constexpr int kMaxKeyBytes = 32;
constexpr std::size_t kMaxReplacementBytes = 256;  // NFKC's longest has 33
constexpr std::uint32_t kNone = 0xffffffff;

using Unit = DoubleArrayUnit;

class DoubleArray {
 public:
  explicit DoubleArray(std::string_view bytes)
      : units_(bytes.size() / sizeof(Unit)),
        first_(units_.size(), kNone),
        next_(units_.size(), kNone),
        seen_(units_.size(), 0) {
    if (!units_.empty()) std::memcpy(units_.data(), bytes.data(), units_.size() * sizeof(Unit));
    for (std::uint32_t unit = 0; unit < units_.size(); ++unit) {
      const std::uint32_t label = units_[unit].label();
      if (label > 0xff) continue;
      const std::uint32_t base = unit ^ label;
      if (base >= units_.size()) continue;
      next_[unit] = first_[base];
      first_[base] = unit;
    }
  }

  /// All keys, in step, byte by byte. @throws Error where one leaves the array, is too long, or
  /// has a value of `values` or more.
  void check(std::size_t values) {
    if (units_.empty()) fail("an empty double array");
    std::vector<std::uint32_t> reached = {0}, bases;
    for (int bytes = 0; !reached.empty(); ++bytes) {
      if (bytes > kMaxKeyBytes) fail("a key of more than {} bytes", kMaxKeyBytes);
      bases.clear();
      for (const std::uint32_t unit : reached) {
        const std::uint32_t base = unit ^ units_[unit].offset();
        if ((base | 0xff) >= units_.size()) fail("unit {} leads out of the array", unit);
        if (units_[unit].has_leaf() && units_[base].value() >= values) {
          fail("unit {} names no replacement", base);
        }
        // Keys that end alike may share their units: each is looked at once for each length.
        const auto mark = static_cast<std::uint8_t>(bytes + 1);
        if (seen_[base] != mark) bases.push_back(base);
        seen_[base] = mark;
      }
      reached.clear();
      for (const std::uint32_t base : bases) {
        for (std::uint32_t unit = first_[base]; unit != kNone; unit = next_[unit]) {
          reached.push_back(unit);
        }
      }
    }
  }

 private:
  std::vector<Unit> units_;
  // The children of the units with a base, as lists: a child is at base ^ label.
  std::vector<std::uint32_t> first_, next_;
  std::vector<std::uint8_t> seen_;  ///< by base: the length, plus one, at which it was last met
};

}  // namespace

void check_charsmap(std::string_view charsmap) {
  std::uint32_t bytes = 0;
  if (charsmap.size() <= sizeof bytes) fail("only {} bytes", charsmap.size());
  std::memcpy(&bytes, charsmap.data(), sizeof bytes);
  charsmap.remove_prefix(sizeof bytes);
  if (bytes >= charsmap.size() || bytes % sizeof(Unit) != 0) {
    fail("a double array of {} bytes, in {}", bytes, charsmap.size());
  }
  const std::string_view replacements = charsmap.substr(bytes);
  if (replacements.back() != '\0') fail("the last replacement does not end");
  for (std::size_t begin = 0; begin < replacements.size();) {
    const std::size_t end = replacements.find('\0', begin);
    if (end - begin > kMaxReplacementBytes) {
      fail("a replacement of more than {} bytes", kMaxReplacementBytes);
    }
    begin = end + 1;
  }
  DoubleArray(charsmap.substr(0, bytes)).check(replacements.size());
}

}  // namespace initrt
