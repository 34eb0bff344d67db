#include "sharding/checkpoint/torch/pickle.h"

#include "sharding/error.h"

namespace initrt {
namespace {

using Kind = PickleValue::Kind;

constexpr std::size_t kMaxDimensions = 64;  // PyTorch's own limit

constexpr std::string_view kKindNames[] = {
    "None",    "a boolean",       "a number", "a number of more than 64 bits",
    "a float", "a string",        "bytes",    "a tuple",
    "a list",  "a dict",          "a set",    "a global",
    "a call",  "a persistent id",
};

}  // namespace

std::string_view kind_name(Kind kind) { return kKindNames[static_cast<std::size_t>(kind)]; }

std::string_view Pickle::text(PickleRef ref) const {
  const PickleValue& value = values_[ref];
  switch (value.kind) {
    case Kind::Long:
    case Kind::String:
    case Kind::Bytes:
      return std::string_view(texts_).substr(value.begin, value.count);
    case Kind::Global:
      return globals_[value.begin];
    default:
      return {};
  }
}

std::span<const PickleRef> Pickle::items(PickleRef ref) const {
  const PickleValue& value = values_[ref];
  switch (value.kind) {
    case Kind::Tuple:
    case Kind::PersistentId:
      return std::span<const PickleRef>(tuples_).subspan(value.begin, value.count);
    case Kind::List:
    case Kind::Dict:
    case Kind::Set:
      return growing_[value.begin];
    case Kind::Object:
      return objects_[value.begin].items;
    default:
      return {};
  }
}

const PickleObject* Pickle::object(PickleRef ref) const {
  const PickleValue& value = values_[ref];
  return value.kind == Kind::Object ? &objects_[value.begin] : nullptr;
}

bool Pickle::is_call(PickleRef ref, std::string_view global) const {
  const PickleObject* call = object(ref);
  return call != nullptr && text(call->global) == global;
}

std::string_view Pickle::string(PickleRef ref, std::string_view what) const {
  const Kind kind = values_[ref].kind;
  // A Python 2 string is bytes.
  if (kind != Kind::String && kind != Kind::Bytes) wrong_kind(ref, what, "a string");
  return text(ref);
}

std::uint64_t Pickle::natural(PickleRef ref, std::string_view what) const {
  const PickleValue& value = values_[ref];
  if (value.kind != Kind::Int) wrong_kind(ref, what, "a number");
  if (value.integer < 0) {
    fail("{}: byte {}: {} is {}, which is negative", where, value.byte, what, value.integer);
  }
  return static_cast<std::uint64_t>(value.integer);
}

std::span<const PickleRef> Pickle::tuple(PickleRef ref, std::string_view what) const {
  if (values_[ref].kind != Kind::Tuple) wrong_kind(ref, what, "a tuple");
  return items(ref);
}

std::vector<std::uint64_t> Pickle::naturals(PickleRef ref, std::string_view what) const {
  PickleRef list = ref;
  if (is_call(ref, "torch.Size")) {
    const std::span<const PickleRef> args = items(object(ref)->args);
    if (args.size() != 1) {
      fail("{}: byte {}: torch.Size has {} arguments, expected 1", where, values_[ref].byte,
           args.size());
    }
    list = args[0];
  }
  const Kind kind = values_[list].kind;
  if (kind != Kind::Tuple && kind != Kind::List) wrong_kind(list, what, "a tuple of numbers");
  const std::span<const PickleRef> numbers = items(list);
  if (numbers.size() > kMaxDimensions) {
    fail("{}: byte {}: {} has {} numbers, at most {} are read", where, values_[list].byte, what,
         numbers.size(), kMaxDimensions);
  }
  std::vector<std::uint64_t> found;
  found.reserve(numbers.size());
  for (const PickleRef number : numbers) found.push_back(natural(number, what));
  return found;
}

void Pickle::wrong_kind(PickleRef ref, std::string_view what, std::string_view expected) const {
  fail("{}: byte {}: {} is {}, expected {}", where, values_[ref].byte, what,
       kind_name(values_[ref].kind), expected);
}

}  // namespace initrt
