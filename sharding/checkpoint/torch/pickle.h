// What a Python pickle holds, as inert values: nothing in it is run. Calls that the pickle asks for
// become Objects (which callable, which arguments); their meaning is given by those who read them.
// Format: CPython's Lib/pickletools.py, protocols 0 to 5; opcodes that PyTorch never writes are
// refused by name.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "sharding/checkpoint/torch/windowed_reader.h"

namespace initrt {

/// Index of a value in its Pickle. One value can be in several containers, or in itself.
using PickleRef = std::uint32_t;

struct PickleValue {
  enum class Kind : std::uint8_t {
    None,
    Bool,
    Int,
    Long,  ///< an integer of more than 64 bits: its little-endian two's complement is its text
    Float,
    String,
    Bytes,
    Tuple,
    List,
    Dict,  ///< its items are key, value, key, value, ...
    Set,
    Global,
    Object,
    PersistentId,  ///< its one item is the id
  };
  Kind kind = Kind::None;
  std::uint32_t byte = 0;    ///< where its opcode is, from the start of the pickle
  std::int64_t integer = 0;  ///< of a Bool or Int
  std::uint32_t begin = 0;   ///< where its text, items, object or global are kept
  std::uint32_t count = 0;   ///< bytes of its text, length of a tuple
};

/// A call of REDUCE, NEWOBJ or NEWOBJ_EX that was not made.
struct PickleObject {
  PickleRef global = 0, args = 0;  ///< a Global and a Tuple
  PickleRef state = 0;             ///< what BUILD was given, if `has_state`
  bool has_state = false;
  std::vector<PickleRef> items;  ///< of SETITEM(S), as a Dict's
};

class Pickle {
 public:
  std::string where;        ///< opens every error: path and what of it
  PickleRef root = 0;       ///< what the pickle is
  std::uint64_t bytes = 0;  ///< of the pickle, STOP included

  [[nodiscard]] const std::vector<PickleValue>& values() const { return values_; }
  [[nodiscard]] const PickleValue& operator[](PickleRef ref) const { return values_[ref]; }

  /// The bytes of a String, Bytes or Long, the name "module.name" of a Global; "" of all else.
  [[nodiscard]] std::string_view text(PickleRef ref) const;
  /// What is in a Tuple, List, Dict, Set, PersistentId or (by SETITEMS) Object; nothing in all
  /// else.
  [[nodiscard]] std::span<const PickleRef> items(PickleRef ref) const;
  /// The call behind an Object, or nullptr.
  [[nodiscard]] const PickleObject* object(PickleRef ref) const;
  /// Whether it is an Object of this global.
  [[nodiscard]] bool is_call(PickleRef ref, std::string_view global) const;

  /// The same, where nothing else will do; `what` names the value in the error.
  /// @throws Error with the byte where the value is of another kind.
  [[nodiscard]] std::string_view string(PickleRef ref, std::string_view what) const;
  [[nodiscard]] std::uint64_t natural(PickleRef ref, std::string_view what) const;
  [[nodiscard]] std::span<const PickleRef> tuple(PickleRef ref, std::string_view what) const;
  /// At most 64 naturals in a tuple, list or torch.Size.
  [[nodiscard]] std::vector<std::uint64_t> naturals(PickleRef ref, std::string_view what) const;

  /// Throws the Error "where: byte N: `what` is a list, expected `expected`".
  [[noreturn]] void wrong_kind(PickleRef ref, std::string_view what,
                               std::string_view expected) const;

 private:
  friend class PickleMachine;

  std::span<const std::string_view> globals_;  // that were allowed: a Global is one of them
  std::vector<PickleValue> values_;
  std::vector<PickleRef> tuples_;                // items of tuples, one after the other
  std::vector<std::vector<PickleRef>> growing_;  // items of lists, dicts and sets
  std::vector<PickleObject> objects_;
  std::string texts_;
};

/// What bounds the memory and time that one pickle takes.
struct PickleLimits {
  std::uint64_t bytes = 256ull << 20;
  std::size_t values = 1u << 22;     ///< a tensor of a state dict is about 20: 200,000 of them
  std::uint64_t steps = 1ull << 26;  ///< that put a value, old or new, or a mark on the stack
};

/// Reads the pickle that begins at `begin`, up to its STOP, which lies before `end` (offsets in the
/// file of `reader`). `globals` are the names that may appear in it, "module.name",
/// sorted; they outlive the Pickle.
/// Memory is at most in proportion to the pickle, whose size is limited, as its values' number is.
/// @throws Error with the byte for anything that is not such a pickle.
[[nodiscard]] Pickle read_pickle(WindowedReader& reader, std::uint64_t begin, std::uint64_t end,
                                 std::string where, std::span<const std::string_view> globals,
                                 const PickleLimits& limits = {});

/// What kind of value this is, for an error: "a list".
[[nodiscard]] std::string_view kind_name(PickleValue::Kind kind);

}  // namespace initrt
