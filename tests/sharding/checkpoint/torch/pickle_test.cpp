// The pickle reader: every opcode it knows, and what is made of its values.
#include <gtest/gtest.h>

#include <limits>
#include <random>

#include "tests/sharding/checkpoint/torch/pickle_reading.h"
#include "tests/sharding/checkpoint/torch/pickle_writer.h"

namespace initrt {
namespace {

using namespace testing;
using Kind = PickleValue::Kind;
using namespace std::string_literals;

/// The value that these opcodes leave, as text.
std::string shown(const Pickle& p, PickleRef ref) {
  const PickleValue& value = p[ref];
  std::string text;
  for (const PickleRef item : p.items(ref)) text += (text.empty() ? "" : " ") + shown(p, item);
  switch (value.kind) {
    case Kind::None:
      return "None";
    case Kind::Bool:
      return value.integer != 0 ? "True" : "False";
    case Kind::Int:
      return std::to_string(value.integer);
    case Kind::Float:
      return "float";
    case Kind::Long:
      return "long" + std::to_string(p.text(ref).size());
    case Kind::String:
      return "'" + std::string(p.text(ref)) + "'";
    case Kind::Bytes:
      return "b'" + std::string(p.text(ref)) + "'";
    case Kind::Tuple:
      return "(" + text + ")";
    case Kind::List:
      return "[" + text + "]";
    case Kind::Dict:
      return "{" + text + "}";
    case Kind::Set:
      return "set(" + text + ")";
    case Kind::Global:
      return std::string(p.text(ref));
    case Kind::PersistentId:
      return "id(" + text + ")";
    case Kind::Object: {
      const PickleObject& call = *p.object(ref);
      return shown(p, call.global) + shown(p, call.args) + (text.empty() ? "" : "{" + text + "}") +
             (call.has_state ? "|" + shown(p, call.state) : "");
    }
  }
  return "?";
}

std::string shown(const std::string& opcodes) {
  const Pickle p = read_bytes(opcodes + ".");
  EXPECT_EQ(p.bytes, opcodes.size() + 1);
  return shown(p, p.root);
}

TEST(Pickle, EveryOpcodeLeavesItsValue) {
  const std::pair<std::string, std::string> cases[] = {
      {"\x80\x05N", "None"},
      {"\x95" + raw<std::uint64_t>(2) + "N", "None"},
      {"\x88", "True"},
      {"\x89", "False"},
      {"J" + raw<std::int32_t>(-5), "-5"},
      {"K\xff", "255"},
      {"M\xff\xff", "65535"},
      {"\x8a\x00"s, "0"},
      {"\x8a\x01\xff", "-1"},
      {"\x8a\x02\xff\x00"s, "255"},
      {"\x8a\x08" + raw(std::numeric_limits<std::int64_t>::min()), "-9223372036854775808"},
      {"\x8a\x09" + std::string(9, '\x7f'), "long9"},
      {"\x8b" + raw(3u) + "\x00\x00\x01"s, "65536"},
      {"G" + raw(1.5), "float"},
      {py_string("ab"), "'ab'"},
      {"\x8c\x02"s + "ab", "'ab'"},
      {"\x8d" + raw<std::uint64_t>(2) + "ab", "'ab'"},
      {"T" + raw(2u) + "ab", "b'ab'"},
      {"U\x02"s + "ab", "b'ab'"},
      {"B" + raw(2u) + "ab", "b'ab'"},
      {"C\x02"s + "ab", "b'ab'"},
      {"\x8e" + raw<std::uint64_t>(2) + "ab", "b'ab'"},
      {")", "()"},
      {"K\1\x85", "(1)"},
      {"K\1K\2\x86", "(1 2)"},
      {"K\1K\2K\3\x87", "(1 2 3)"},
      {"(K\1K\2K\3K\4t", "(1 2 3 4)"},
      {"]K\1aK\2a", "[1 2]"},
      {"](K\1K\2e", "[1 2]"},
      {"(K\1K\2l", "[1 2]"},
      {"}K\1K\2s", "{1 2}"},
      {"}(K\1K\2K\3Nu", "{1 2 3 None}"},
      {"(K\1K\2d", "{1 2}"},
      {"\x8f(K\1K\2\x90", "set(1 2)"},
      {"(K\1K\2\x91", "set(1 2)"},
      {"K\1K\2"
       "0",
       "1"},
      {"K\1(K\2K\3"
       "1",
       "1"},
      {"K\1(0", "1"},
      {"K\1"
       "2\x86",
       "(1 1)"},
      {"]q\0K\1ah\0\x86"s, "([1] [1])"},
      {"]r" + raw(0u) + "j" + raw(0u) + "\x86", "([] [])"},
      {"]\x94h\0\x86"s, "([] [])"},
      {"]q\1h\1\x86", "([] [])"},  // as Python 2 numbers
      {py_global("torch", "f"), "torch.f"},
      {py_string("torch") + py_string("f") + "\x93", "torch.f"},
      {py_call(py_global("torch", "f"), {"K\1"}), "torch.f(1)"},
      {py_global("torch", "f") + ")\x81", "torch.f()"},
      {py_global("torch", "f") + ")}\x92", "torch.f()"},
      {py_global("torch", "f") + ")R}b", "torch.f()|{}"},
      {py_global("torch", "f") + ")RK\1K\2s", "torch.f(){1 2}"},
      {"K\1Q", "id(1)"},
  };
  for (const auto& [opcodes, expected] : cases) EXPECT_EQ(shown(opcodes), expected);
}

TEST(Pickle, MemoBombsAndValuesInsideThemselvesTakeNoMemory) {
  // Sixty lists, each holding the one before twice: 2^60 items to whoever copied.
  std::string bomb = "]\x94";
  for (char i = 0; i < 60; ++i) bomb += "]\x94(h"s + i + "h"s + i + "e";
  const Pickle p = read_bytes("(" + bomb + "l.");
  EXPECT_EQ(p.values().size(), 62u);
  const Pickle self = read_bytes("]\x94h\0a."s);
  EXPECT_EQ(self.items(self.root)[0], self.root);
}

TEST(Pickle, NumbersAreReadOnlyFromWhatHoldsNumbers) {
  const auto naturals = [](const std::string& value) {
    const Pickle p = read_bytes(value + ".");
    return p.naturals(p.root, "the shape");
  };
  const std::vector<std::uint64_t> expected = {2, 3};
  EXPECT_EQ(naturals(py_ints({2, 3})), expected);
  EXPECT_EQ(naturals(py_list({"K\2", "K\3"})), expected);
  EXPECT_EQ(naturals(py_call(py_global("torch", "Size"), {py_ints({2, 3})})), expected);
  const auto error = [&](const std::string& value) {
    return error_of([&] { (void)naturals(value); });
  };
  EXPECT_EQ(error("K\1"), "p: byte 0: the shape is a number, expected a tuple of numbers");
  EXPECT_EQ(error("K\1\x88\x86"), "p: byte 2: the shape is a boolean, expected a number");
  EXPECT_EQ(error(py_ints({1, -2})), "p: byte 11: the shape is -2, which is negative");
  EXPECT_EQ(error("\x8a\x09" + std::string(9, '\x7f') + "\x85"),
            "p: byte 0: the shape is a number of more than 64 bits, expected a number");
  EXPECT_EQ(error(py_ints(std::vector<std::int64_t>(65, 1))),
            "p: byte 651: the shape has 65 numbers, at most 64 are read");
  EXPECT_EQ(error(py_call(py_global("torch", "Size"), {})),
            "p: byte 14: torch.Size has 0 arguments, expected 1");
}

TEST(Pickle, DamagedPicklesAreReadOrRefused) {
  const std::string whole = pickle(
      py_dict({{py_string("a"), py_call(py_global("torch", "f"), {py_ints({1, 2})}) + "q\0"s},
               {py_string("b"), py_list({"h\0"s, "K\1", "\x8a\2ab"}) + "\x94"},
               {py_string("c"), py_tuple({"N", "\x88", py_string("storage")}) + "Q"}}));
  std::mt19937_64 rng(1);
  int good = 0;
  for (int round = 0; round < 10'000; ++round) {
    std::string bytes = whole;
    for (std::uint64_t i = 0; i <= rng() % 3; ++i)
      bytes[rng() % bytes.size()] = static_cast<char>(rng());
    try {
      const Pickle p = read_bytes(bytes);
      ++good;
      for (PickleRef ref = 0; ref < p.values().size(); ++ref) {
        for (const PickleRef item : p.items(ref)) ASSERT_LT(item, p.values().size());
        ASSERT_LE(p.text(ref).size(), bytes.size());
      }
    } catch (const Error& error) {
      ASSERT_TRUE(testing::is_one_line(error.what())) << error.what();
    }
  }
  EXPECT_GT(good, 500);
  EXPECT_LT(good, 8'000);
}

}  // namespace
}  // namespace initrt
