// Finds tensors by name without a second copy of the names: a checkpoint of many experts has over a
// hundred thousand of them.
#pragma once

#include <bit>
#include <cstdint>
#include <functional>
#include <string_view>
#include <vector>

namespace initrt {

/// A hash table (open addressing) of indices into a list that has the names. Each call gets
/// `name_of`, which says an index's name; names of indices that are in it must not change.
class NameIndex {
 public:
  NameIndex() = default;
  /// @param most how many names there will be at most
  explicit NameIndex(std::size_t most) : slots_(std::bit_ceil(most + most / 2 + 1)) {}

  /// @returns the index that has this name: `index`, or the one that had it before
  template <class NameOf>
  std::uint32_t insert(std::string_view name, std::uint32_t index, const NameOf& name_of) {
    Slot& slot = slots_[place_of(name, name_of)];
    if (!slot.used) slot = {index, true, tag_of(std::hash<std::string_view>()(name))};
    return slot.index;
  }

  /// @returns the index that has this name, or -1
  template <class NameOf>
  [[nodiscard]] std::int64_t find(std::string_view name, const NameOf& name_of) const {
    if (slots_.empty()) return -1;
    const Slot& slot = slots_[place_of(name, name_of)];
    return slot.used ? std::int64_t{slot.index} : -1;
  }

 private:
  struct Slot {
    std::uint32_t index = 0;
    bool used : 1 = false;
    std::uint32_t tag : 31 = 0;  // bits of the hash: few names are compared that are not the one
  };

  static std::uint32_t tag_of(std::size_t hash) { return static_cast<std::uint32_t>(hash >> 33); }

  // The slot that has a name, or the free one where it belongs.
  template <class NameOf>
  [[nodiscard]] std::size_t place_of(std::string_view name, const NameOf& name_of) const {
    const std::size_t hash = std::hash<std::string_view>()(name), last = slots_.size() - 1;
    std::size_t place = hash & last;
    for (; slots_[place].used; place = (place + 1) & last) {
      const Slot& slot = slots_[place];
      if (slot.tag == tag_of(hash) && name_of(slot.index) == name) break;
    }
    return place;
  }

  std::vector<Slot> slots_;  // a power of two, never full
};

}  // namespace initrt
