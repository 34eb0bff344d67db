// Every way in which a pickle can be hostile or broken.
#include <gtest/gtest.h>

#include "tests/sharding/checkpoint/torch/pickle_reading.h"
#include "tests/sharding/checkpoint/torch/pickle_writer.h"

namespace initrt {
namespace {

using namespace testing;
using namespace std::string_literals;

TEST(Pickle, WhatIsNotAllowedIsNamedAndNotRun) {
  EXPECT_EQ(pickle_error(pickle(py_call(py_global("os", "system"), {py_string("rm -rf /")}))),
            "p: byte 2: the global \"os.system\" is not one that tensors need; nothing of it was "
            "run");
  EXPECT_EQ(
      pickle_error(pickle(py_dict({{py_string("w"), py_string("builtins") + py_string("eval") +
                                                        "\x93" + py_string("1") + "\x85R"}}))),
      "p: byte 32: the global \"builtins.eval\" is not one that tensors need; nothing of it "
      "was run");
  // What looks allowed by its beginning, its end or with the dot elsewhere is not.
  for (const auto& [module, name] : std::vector<std::pair<const char*, const char*>>{
           {"torch", "f.system"}, {"torch", ""}, {"", "torch.g"}, {"os.torch", "f"}}) {
    EXPECT_NE(pickle_error(pickle(py_global(module, name))).find("is not one that tensors need"),
              std::string::npos);
  }
  EXPECT_EQ(pickle_error(pickle(py_global("a\x1b[2J", "b\x7f"))),
            "p: byte 2: the global \"a\\u001b[2J.b\\u007f\" is not one that tensors need; nothing "
            "of it was run");
}

TEST(Pickle, OnlyGlobalsAreCalled) {
  const std::string call = py_call(py_global("torch", "f"), {});
  EXPECT_EQ(pickle_error(pickle(call + ")R")),
            "p: byte 15: REDUCE: what is called is a call, expected a global");
  EXPECT_EQ(pickle_error(pickle(py_string("f") + ")\x81")),
            "p: byte 9: NEWOBJ: what is called is a string, expected a global");
  EXPECT_EQ(pickle_error(pickle(py_global("torch", "f") + "]R")),
            "p: byte 12: REDUCE: what it is called with is a list, expected a tuple");
  EXPECT_EQ(
      pickle_error(pickle(py_global("torch", "f") + ")" + py_dict({{"K\1", "K\2"}}) + "\x92")),
      "p: byte 19: NEWOBJ_EX: it has keywords, which no tensor needs");
  EXPECT_EQ(pickle_error(pickle(call + "}b}b")), "p: byte 17: BUILD: a second state for one value");
  EXPECT_EQ(pickle_error(pickle("]}b")),
            "p: byte 4: BUILD: what is given a state is a list, expected a call");
}

TEST(Pickle, OpcodesThatTensorsNeverNeedAreRefusedByName) {
  const std::pair<const char*, const char*> refused[] = {{"F", "FLOAT"},
                                                         {"I", "INT"},
                                                         {"L", "LONG"},
                                                         {"P", "PERSID"},
                                                         {"S", "STRING"},
                                                         {"V", "UNICODE"},
                                                         {"g", "GET"},
                                                         {"p", "PUT"},
                                                         {"i", "INST"},
                                                         {"o", "OBJ"},
                                                         {"\x82", "EXT1"},
                                                         {"\x83", "EXT2"},
                                                         {"\x84", "EXT4"},
                                                         {"\x96", "BYTEARRAY8"},
                                                         {"\x97", "NEXT_BUFFER"},
                                                         {"\x98", "READONLY_BUFFER"}};
  for (const auto& [opcode, name] : refused) {
    EXPECT_EQ(pickle_error(pickle("N"s + opcode)),
              "p: byte 3: the pickle opcode "s + name + " is not one that tensors need");
  }
  EXPECT_EQ(pickle_error(pickle("N\xfe")), "p: byte 3: 0xfe is not a pickle opcode");
  EXPECT_EQ(pickle_error("\x80\x06N."), "p: byte 0: PROTO: protocol 6, expected at most 5");
}

TEST(Pickle, NoOpcodeTakesMoreThanTheStackHas) {
  for (const char* opcode : {"0", "2", "R", "\x81", "\x92", "b", "Q", "\x85", "\x86", "\x87", "a",
                             "s", "\x93", ".", "\x94", "q\0"}) {
    EXPECT_NE(pickle_error("\x80\x02"s + opcode + (*opcode == 'q' ? "\0."s : "."s))
                  .find("there is no value on the stack for it"),
              std::string::npos)
        << opcode;
    // Nor what lies below a mark.
    EXPECT_NE(pickle_error("NNN("s + (*opcode == '0' ? "00000" : opcode) + "\0."s)
                  .find("there is no value on the stack for it"),
              std::string::npos)
        << opcode;
  }
  for (const char* opcode : {"1", "t", "l", "d", "e", "u", "\x90", "\x91"}) {
    EXPECT_NE(pickle_error("N"s + opcode + ".").find("there is no mark on the stack for it"),
              std::string::npos)
        << opcode;
  }
}

TEST(Pickle, WrongKindsForAnOpcodeAreErrors) {
  EXPECT_EQ(pickle_error("}K\1a."),
            "p: byte 3: APPEND: what is added to is a dict, expected a list");
  EXPECT_EQ(pickle_error("](K\1K\2u."),
            "p: byte 6: SETITEMS: what is added to is a list, expected a dict");
  EXPECT_EQ(pickle_error("](K\1\x90."),
            "p: byte 4: ADDITEMS: what is added to is a list, expected a set");
  EXPECT_EQ(pickle_error("}(K\1u."), "p: byte 4: SETITEMS: a key without a value");
  EXPECT_EQ(pickle_error("(K\1d."), "p: byte 3: DICT: a key without a value");
  EXPECT_EQ(pickle_error("K\1K\2\x93."),
            "p: byte 4: STACK_GLOBAL: the module is a number, expected a string");
  EXPECT_EQ(pickle_error("NN."), "p: byte 2: STOP: 1 more values are left over");
  EXPECT_EQ(pickle_error("(."), "p: byte 1: STOP: there is no value on the stack for it");
  EXPECT_EQ(pickle_error("(N."), "p: byte 2: STOP: 0 more values are left over");
}

TEST(Pickle, MemoEntriesThatAreNotThereAreErrors) {
  EXPECT_EQ(pickle_error("h\5."), "p: byte 0: BINGET: there is no memo entry 5");
  EXPECT_EQ(pickle_error("Nq\1h\0."s), "p: byte 3: BINGET: there is no memo entry 0");
  EXPECT_EQ(pickle_error("Nr" + raw(0xffffffffu) + "."),
            "p: byte 1: LONG_BINPUT: memo entry 4294967295 is out of turn: 0 are there");
}

TEST(Pickle, EveryTruncationIsAnErrorThatSaysSo) {
  const std::string whole = pickle(py_dict(
      {{py_string("key"), py_call(py_global("torch", "f"), {py_ints({1, 2}), "G" + raw(1.0)})},
       {"\x8b" + raw(2u) + "ab", "]q\0h\0a"s}}));
  ASSERT_NO_THROW((void)read_bytes(whole));
  for (std::size_t bytes = 0; bytes < whole.size(); ++bytes) {
    EXPECT_NE(pickle_error(whole.substr(0, bytes)).find("truncated at byte"), std::string::npos);
  }
  EXPECT_EQ(pickle_error("X" + raw(9u) + "abc"),
            "p: truncated at byte 0: BINUNICODE needs 9 bytes, but 3 are left");
}

TEST(Pickle, CountsThatCannotBeTrueAreErrorsBeforeAnyMemoryIsTaken) {
  const std::uint64_t huge = 1ull << 60;
  for (const char* opcode : {"\x8d", "\x8e"}) {
    EXPECT_NE(pickle_error(opcode + raw(huge) + "abc.").find("needs 1152921504606846976 bytes"),
              std::string::npos);
  }
  EXPECT_EQ(pickle_error("\x95" + raw(huge) + "N."),
            "p: truncated at byte 0: a frame of 1152921504606846976 bytes, but 2 are left");
  EXPECT_NE(pickle_error("\x8b" + raw(~0u) + "N.").find("LONG4 needs 4294967295"),
            std::string::npos);
  EXPECT_NE(pickle_error("c" + std::string(1000, 'm') + "\n\n.").find("more than 256 bytes"),
            std::string::npos);
  EXPECT_NE(pickle_error(py_string(std::string(1000, 'm')) + py_string("n") + "\x93.")
                .find("more than 256 bytes"),
            std::string::npos);
}

TEST(Pickle, LimitsHold) {
  EXPECT_EQ(pickle_error("NNNN.", {.values = 3}), "p: byte 3: NONE: more than 3 values");
  EXPECT_EQ(pickle_error("N2222.", {.steps = 3}), "p: byte 3: DUP: more than 3 steps of the stack");
  EXPECT_EQ(pickle_error("((((.", {.steps = 3}), "p: byte 3: MARK: more than 3 steps of the stack");
  EXPECT_EQ(pickle_error("N\x94\x94\x94.", {.values = 2}),
            "p: byte 3: MEMOIZE: more than 2 memo entries");
  EXPECT_EQ(pickle_error(py_string("abcdef") + ".", {.bytes = 8}),
            "p: byte 0: the pickle has more than 8 bytes, which are not read");
}

}  // namespace
}  // namespace initrt
