// The opcodes of pickles: one line for each.
#include <array>

#include "sharding/checkpoint/torch/pickle.h"
#include "sharding/checkpoint/torch/pickle_machine.h"
#include "sharding/error.h"

namespace initrt {
namespace {

using Kind = PickleValue::Kind;
using Machine = PickleMachine;

struct Opcode {
  std::uint8_t code;
  std::string_view name;
  void (*run)(Machine&);  // nullptr for what PyTorch never writes, or what would be unsafe
};

constexpr Opcode kOpcodes[] = {
    // Structure.
    {0x80, "PROTO", [](Machine& m) { m.proto(); }},
    {0x95, "FRAME", [](Machine& m) { m.frame(); }},
    {'(', "MARK", [](Machine& m) { m.mark(); }},
    {'.', "STOP", [](Machine& m) { m.stop(); }},
    {'0', "POP", [](Machine& m) { m.pop_one(); }},
    {'1', "POP_MARK", [](Machine& m) { (void)m.pop_mark(); }},
    {'2', "DUP", [](Machine& m) { m.duplicate(); }},
    // Values.
    {'N', "NONE", [](Machine& m) { m.push({.kind = Kind::None}); }},
    {0x88, "NEWTRUE", [](Machine& m) { m.push({.kind = Kind::Bool, .integer = 1}); }},
    {0x89, "NEWFALSE", [](Machine& m) { m.push({.kind = Kind::Bool, .integer = 0}); }},
    {'J', "BININT", [](Machine& m) { m.push_integer(m.number<std::int32_t>()); }},
    {'K', "BININT1", [](Machine& m) { m.push_integer(m.number<std::uint8_t>()); }},
    {'M', "BININT2", [](Machine& m) { m.push_integer(m.number<std::uint16_t>()); }},
    {0x8a, "LONG1", [](Machine& m) { m.push_long(m.number<std::uint8_t>()); }},
    {0x8b, "LONG4", [](Machine& m) { m.push_long(m.number<std::uint32_t>()); }},
    {'G', "BINFLOAT",
     [](Machine& m) {
       (void)m.number<std::uint64_t>();  // tensors need no floats: only their place is kept
       m.push({.kind = Kind::Float});
     }},
    {'X', "BINUNICODE",
     [](Machine& m) { m.push_text(Kind::String, m.characters(m.number<std::uint32_t>())); }},
    {0x8c, "SHORT_BINUNICODE",
     [](Machine& m) { m.push_text(Kind::String, m.characters(m.number<std::uint8_t>())); }},
    {0x8d, "BINUNICODE8",
     [](Machine& m) { m.push_text(Kind::String, m.characters(m.number<std::uint64_t>())); }},
    {'T', "BINSTRING",
     [](Machine& m) { m.push_text(Kind::Bytes, m.characters(m.number<std::uint32_t>())); }},
    {'U', "SHORT_BINSTRING",
     [](Machine& m) { m.push_text(Kind::Bytes, m.characters(m.number<std::uint8_t>())); }},
    {'B', "BINBYTES",
     [](Machine& m) { m.push_text(Kind::Bytes, m.characters(m.number<std::uint32_t>())); }},
    {'C', "SHORT_BINBYTES",
     [](Machine& m) { m.push_text(Kind::Bytes, m.characters(m.number<std::uint8_t>())); }},
    {0x8e, "BINBYTES8",
     [](Machine& m) { m.push_text(Kind::Bytes, m.characters(m.number<std::uint64_t>())); }},
    // Containers.
    {')', "EMPTY_TUPLE", [](Machine& m) { m.push_items(Kind::Tuple, {}); }},
    {0x85, "TUPLE1", [](Machine& m) { m.tuple_of_top(1); }},
    {0x86, "TUPLE2", [](Machine& m) { m.tuple_of_top(2); }},
    {0x87, "TUPLE3", [](Machine& m) { m.tuple_of_top(3); }},
    {'t', "TUPLE", [](Machine& m) { m.push_items(Kind::Tuple, m.pop_mark()); }},
    {']', "EMPTY_LIST", [](Machine& m) { m.push_growing(Kind::List, {}); }},
    {'l', "LIST", [](Machine& m) { m.push_growing(Kind::List, m.pop_mark()); }},
    {'a', "APPEND", [](Machine& m) { m.add_to_top(Kind::List, std::array{m.pop()}); }},
    {'e', "APPENDS", [](Machine& m) { m.add_to_top(Kind::List, m.pop_mark()); }},
    {'}', "EMPTY_DICT", [](Machine& m) { m.push_growing(Kind::Dict, {}); }},
    {'d', "DICT", [](Machine& m) { m.push_growing(Kind::Dict, m.pop_mark()); }},
    {'s', "SETITEM", [](Machine& m) { m.set_item(); }},
    {'u', "SETITEMS", [](Machine& m) { m.add_to_top(Kind::Dict, m.pop_mark()); }},
    {0x8f, "EMPTY_SET", [](Machine& m) { m.push_growing(Kind::Set, {}); }},
    {0x90, "ADDITEMS", [](Machine& m) { m.add_to_top(Kind::Set, m.pop_mark()); }},
    {0x91, "FROZENSET", [](Machine& m) { m.push_growing(Kind::Set, m.pop_mark()); }},
    // The memo.
    {'q', "BINPUT", [](Machine& m) { m.put(m.number<std::uint8_t>()); }},
    {'r', "LONG_BINPUT", [](Machine& m) { m.put(m.number<std::uint32_t>()); }},
    {0x94, "MEMOIZE", [](Machine& m) { m.memoize(); }},
    {'h', "BINGET", [](Machine& m) { m.get(m.number<std::uint8_t>()); }},
    {'j', "LONG_BINGET", [](Machine& m) { m.get(m.number<std::uint32_t>()); }},
    // Globals and calls.
    {'c', "GLOBAL",
     [](Machine& m) {
       const std::string module = m.line();
       m.push_global(module, m.line());
     }},
    {0x93, "STACK_GLOBAL", [](Machine& m) { m.stack_global(); }},
    {'R', "REDUCE", [](Machine& m) { m.call(); }},
    {0x81, "NEWOBJ", [](Machine& m) { m.call(); }},
    {0x92, "NEWOBJ_EX", [](Machine& m) { m.call_with_keywords(); }},
    {'b', "BUILD", [](Machine& m) { m.build(); }},
    {'Q', "BINPERSID", [](Machine& m) { m.push_items(Kind::PersistentId, std::array{m.pop()}); }},
    // Refused.
    {'F', "FLOAT", nullptr},
    {'I', "INT", nullptr},
    {'L', "LONG", nullptr},
    {'P', "PERSID", nullptr},
    {'S', "STRING", nullptr},
    {'V', "UNICODE", nullptr},
    {'g', "GET", nullptr},
    {'p', "PUT", nullptr},
    {'i', "INST", nullptr},
    {'o', "OBJ", nullptr},
    {0x82, "EXT1", nullptr},
    {0x83, "EXT2", nullptr},
    {0x84, "EXT4", nullptr},
    {0x96, "BYTEARRAY8", nullptr},
    {0x97, "NEXT_BUFFER", nullptr},
    {0x98, "READONLY_BUFFER", nullptr},
};

constexpr std::array<const Opcode*, 256> kByCode = [] {
  std::array<const Opcode*, 256> by_code{};
  for (const Opcode& opcode : kOpcodes) by_code[opcode.code] = &opcode;
  return by_code;
}();

}  // namespace

Pickle read_pickle(WindowedReader& reader, std::uint64_t begin, std::uint64_t end,
                   std::string where, std::span<const std::string_view> globals,
                   const PickleLimits& limits) {
  const std::string place = where;
  Machine machine(reader, begin, end, std::move(where), globals, limits);
  while (!machine.stopped()) {
    const std::uint8_t code = machine.next_opcode();
    const Opcode* opcode = kByCode[code];
    if (opcode == nullptr) {
      fail("{}: byte {}: 0x{:02x} is not a pickle opcode", place, machine.byte(), code);
    }
    if (opcode->run == nullptr) {
      fail("{}: byte {}: the pickle opcode {} is not one that tensors need", place, machine.byte(),
           opcode->name);
    }
    machine.named(opcode->name);
    opcode->run(machine);
  }
  return machine.take_pickle();
}

}  // namespace initrt
