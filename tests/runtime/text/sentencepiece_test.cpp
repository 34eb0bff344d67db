#include "runtime/text/sentencepiece.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <random>

#include "runtime/text/sentencepiece_model.h"
#include "tests/sharding/errors.h"
#include "tests/support/small_sentencepiece.h"
#include "tests/support/source_path.h"

namespace initrt {
namespace {

using testing::bytes_field;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::number_field;
using testing::SmallCharsmap;
using testing::SmallSentencePiece;

constexpr TokenId kSpace = 3, kA = 4;

std::unique_ptr<Tokenizer> make(const SmallSentencePiece& small) {
  return make_sentencepiece_tokenizer(small.model());
}

std::string error_of_model(const std::string& model) {
  return testing::error_of([&] { (void)make_sentencepiece_tokenizer(model); });
}

// What a run prints of tokens.
std::string streamed(const Tokenizer& tokenizer, const std::vector<TokenId>& ids) {
  Utf8Stream stream;
  std::string text;
  for (const TokenId id : ids) text += stream.push(tokenizer.token_bytes(id));
  return text + stream.finish();
}

TEST(SentencePiece, PutsABosBeforeTheTextAndNoEosAfterIt) {
  const auto tokenizer = make({});
  EXPECT_THAT(tokenizer->encode("ab"), ElementsAre(1, kSpace, kA, kA + 1));
  EXPECT_THAT(tokenizer->encode(""), ElementsAre(1));
  EXPECT_EQ(tokenizer->vocabulary(), 30u);
  EXPECT_EQ(tokenizer->end_token(), 2);
}

TEST(SentencePiece, AModelWithoutBosAndEosHasNone) {
  SmallSentencePiece small;
  small.pieces.clear();
  small.add("<unk>", testing::kUnknown);
  small.add("a");
  const auto tokenizer = make(small);
  EXPECT_THAT(tokenizer->encode("a"), ElementsAre(0, 1));  // the space is unknown
  EXPECT_EQ(tokenizer->end_token(), std::nullopt);
}

TEST(SentencePiece, SpecialTokensInATextStayText) {
  SmallSentencePiece small;
  small.add("<");
  small.add(">");
  small.add("/");
  EXPECT_THAT(make(small)->encode("<s>a</s>"),
              ElementsAre(1, kSpace, 30, kA + 18, 31, kA, 30, 32, kA + 18, 31));
}

TEST(SentencePiece, SpecialTokensOfABareTextAreTheirIdsAndNoneIsAdded) {
  EXPECT_THAT(make({})->encode_bare("<s>ab</s><s>c"),
              ElementsAre(1, kSpace, kA, kA + 1, 2, 1, kSpace, kA + 2));
  EXPECT_THAT(make({})->encode_bare("a"), ElementsAre(kSpace, kA));
  EXPECT_TRUE(make({})->encode_bare("").empty());
}

TEST(SentencePiece, BytesThatAreNotUtf8AreReadAsReplacementCharacters) {
  SmallSentencePiece small;
  small.add_bytes();
  const auto tokenizer = make(small);
  EXPECT_EQ(tokenizer->encode("a\xff\xe4\xb8z"), tokenizer->encode("a\uFFFD\uFFFDz"));
}

TEST(SentencePiece, TokensAreSpacesBytesAndTextAndSpecialOnesAreNothing) {
  SmallSentencePiece small;
  small.add("\u2581a\u2581\u2581b\u2581");
  small.add("<tool>", testing::kUserDefined);
  small.add_bytes();
  const auto tokenizer = make(small);
  EXPECT_EQ(tokenizer->token_bytes(kA), "a");
  EXPECT_EQ(tokenizer->token_bytes(30), " a  b ");
  EXPECT_EQ(tokenizer->token_bytes(31), "<tool>");
  for (TokenId byte = 0; byte < 256; ++byte) {
    EXPECT_EQ(tokenizer->token_bytes(32 + byte), std::string(1, static_cast<char>(byte)));
  }
  EXPECT_EQ(tokenizer->token_bytes(0), " \u2047 ");
  for (const TokenId id : {1, 2, -1, 288, 1 << 30}) EXPECT_EQ(tokenizer->token_bytes(id), "");
}

TEST(SentencePiece, TheUnknownTokenIsWhatTheModelSays) {
  SmallSentencePiece small;
  small.trainer += bytes_field(44, "(?)");
  EXPECT_EQ(make(small)->token_bytes(0), "(?)");
}

TEST(SentencePiece, TextComesBackWithTheSpaceOfAFirstPieceThatGoesOnAfterAPrompt) {
  SmallSentencePiece small;
  small.add_bytes();
  const auto tokenizer = make(small);
  const std::string text = "hello w\u00f6rld \u4e16\u754c\n\t\U0001F600  end ";
  const std::vector<TokenId> ids = tokenizer->encode(text);
  EXPECT_EQ(streamed(*tokenizer, ids), " " + text);
  const auto word = std::find(ids.begin() + 2, ids.end(), kSpace);
  EXPECT_EQ("hello" + streamed(*tokenizer, {word, ids.end()}), text);
}

TEST(SentencePiece, ACharsmapNormalizes) {
  SmallCharsmap charsmap;
  charsmap.add("\u00e9", "e");
  charsmap.add("A", "a");
  charsmap.add("AB", "xyz");
  SmallSentencePiece small;
  small.normalizer += bytes_field(2, charsmap.bytes());
  const auto tokenizer = make(small);
  EXPECT_EQ(tokenizer->encode("\u00e9tAABc"), tokenizer->encode("etaxyzc"));
}

TEST(SentencePieceModel, IsRefusedWhereItIsSomethingElse) {
  EXPECT_THAT(error_of_model(""), HasSubstr("0 pieces"));
  EXPECT_THAT(error_of_model("{\"version\": \"1.0\"}"), HasSubstr("not a SentencePiece model"));
  EXPECT_THAT(error_of_model(std::string(100, '\0')), HasSubstr("byte 0: no field has this tag"));
  EXPECT_THAT(error_of_model(std::string((16u << 20) + 1, '\n')), HasSubstr("16777217 bytes"));
}

TEST(SentencePieceModel, IsRefusedWhereItsOutlineIsWrong) {
  const std::string good = SmallSentencePiece().model();
  const auto with_more = [&](const std::string& more) { return error_of_model(good + more); };
  EXPECT_THAT(with_more("\x0b"), HasSubstr("no field has this tag"));  // a group
  EXPECT_THAT(with_more(std::string("\x02\x00", 2)), HasSubstr("no field has this tag"));
  EXPECT_THAT(with_more("\xf8\xff\xff\xff\xff\x01"), HasSubstr("no field has this tag"));
  EXPECT_THAT(with_more("\x10" + std::string(11, '\x80')), HasSubstr("a number does not end"));
  EXPECT_THAT(with_more("\x0a\x05zz"), HasSubstr("5 bytes are wanted, 2 are left"));
  EXPECT_THAT(with_more("\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"),
              HasSubstr("18446744073709551615 bytes are wanted, 0 are left"));
  EXPECT_THAT(with_more(bytes_field(1, "")),
              HasSubstr(fmt::format("byte {}: a piece without text", good.size())));
  EXPECT_THAT(with_more(bytes_field(1, bytes_field(1, {"a\0b", 3}))), HasSubstr("a zero byte"));
  EXPECT_THAT(with_more(bytes_field(2, "")), HasSubstr("2 trainer_spec and 1 normalizer_spec"));
  EXPECT_THAT(with_more(bytes_field(3, "")), HasSubstr("1 trainer_spec and 2 normalizer_spec"));
  EXPECT_THAT(with_more(bytes_field(5, bytes_field(2, "x"))), HasSubstr("a denormalizer"));
  for (const std::uint64_t type : {0ull, 3ull, 4ull, 9ull, 1ull << 31, ~0ull}) {
    SmallSentencePiece small;
    small.trainer = number_field(3, type);
    EXPECT_THAT(error_of_model(small.model()), HasSubstr("is not known here")) << type;
  }
  SmallSentencePiece small;
  small.trainer += bytes_field(1, std::string(1 << 20, 'x'));
  EXPECT_THAT(error_of_model(small.model()), HasSubstr("more than the 1048576"));
  std::string many;
  for (int i = 0; i < (1 << 19); ++i) many += bytes_field(1, bytes_field(1, "a"));
  EXPECT_THAT(with_more(many), HasSubstr("524318 pieces"));
}

TEST(SentencePieceModel, IsRefusedInOneLineWhereTheLibraryRefusesIt) {
  const auto with_piece = [&](const std::string& text, int type) {
    SmallSentencePiece small;
    small.add(text, type);
    return error_of_model(small.model());
  };
  EXPECT_THAT(with_piece("a", testing::kNormal), HasSubstr("\"a is already defined.\""));
  EXPECT_THAT(with_piece("<unk2>", testing::kUnknown), HasSubstr("unk is already defined"));
  EXPECT_THAT(with_piece("<0x41>", testing::kByte), HasSubstr("byte"));
  SmallSentencePiece twice;
  twice.add("x\n\x1b[31m");
  twice.add("x\n\x1b[31m");
  EXPECT_THAT(error_of_model(twice.model()), HasSubstr("already defined"));
  SmallSentencePiece bytes;
  bytes.add_bytes();
  bytes.add("<0xZZ>", testing::kByte);
  EXPECT_THAT(error_of_model(bytes.model()), HasSubstr("<0xZZ>"));
}

TEST(SentencePieceModel, SelfTestsAndFieldsOfOthersAreNotGivenToTheLibrary) {
  SmallSentencePiece small;
  small.more = bytes_field(4, bytes_field(1, bytes_field(1, "a") + bytes_field(2, "wrong"))) +
               number_field(7, 1) + bytes_field(200, "extension");
  EXPECT_EQ(checked_sentencepiece_model(small.model()), SmallSentencePiece().model());
  EXPECT_NO_THROW(make(small));
}

TEST(SentencePieceModel, UserDefinedPiecesNestAsDeepAsTheLibraryLooks) {
  SmallSentencePiece small;
  for (std::size_t length = 2; length <= 65; ++length) {
    small.add(std::string(length, 'a'), testing::kUserDefined);
    small.add("b" + std::string(length, 'a'), testing::kUserDefined);
  }
  EXPECT_THAT(make(small)->encode(std::string(65, 'a')), ElementsAre(1, kSpace, 30 + 126));
  small.add(std::string(66, 'a'), testing::kUserDefined);
  EXPECT_THAT(error_of_model(small.model()), HasSubstr("more than 64 user-defined pieces"));
}

std::string golden_model(const std::string& name) {
  std::ifstream file(testing::source_path("tests/golden/sentencepiece/" + name), std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

// A model that is damaged works or is refused in one line; it ends no process.
void use(const std::string& model, int& refused) {
  std::unique_ptr<Tokenizer> tokenizer;
  try {
    tokenizer = make_sentencepiece_tokenizer(model);
    for (const TokenId id : tokenizer->encode("Hello <|im_end|> w\u00f6rld \ufb01 \u338f 123\n")) {
      (void)tokenizer->token_bytes(id);
    }
  } catch (const Error& error) {
    EXPECT_TRUE(testing::is_one_line(error.what())) << error.what();
    ++refused;
  }
}

TEST(SentencePieceModel, DamageIsRefusedOrHarmless) {
  std::mt19937 random(11);
  SmallCharsmap charsmap;
  charsmap.add("H", "h");
  charsmap.add("\u00f6", "oe");
  SmallSentencePiece small;
  small.normalizer += bytes_field(2, charsmap.bytes());
  small.add("<|im_end|>", testing::kUserDefined);
  const struct {
    std::string model;
    int rounds;
  } models[] = {{small.model(), 4000},
                {golden_model("llama.model"), 2000},
                {golden_model("unigram.model"), 300}};
  for (const auto& [model, rounds] : models) {
    int refused = 0;
    for (int round = 0; round < rounds; ++round) {
      std::string damaged = model;
      // Half of it near the start or the end, where lengths and settings are.
      const std::size_t window = random() % 2 == 0 ? damaged.size() : 600;
      const std::size_t begin = random() % 2 == 0 ? 0 : damaged.size() - window;
      for (unsigned i = 0; i <= random() % 4; ++i) {
        damaged[begin + random() % window] = static_cast<char>(random());
      }
      if (random() % 8 == 0) damaged.resize(random() % damaged.size());
      use(damaged, refused);
    }
    EXPECT_GT(refused, 0);
    EXPECT_LT(refused, rounds);
  }
}

TEST(SentencePieceModel, EveryTruncationIsRefusedOrHarmless) {
  const std::string model = SmallSentencePiece().model();
  int refused = 0;
  for (std::size_t bytes = 0; bytes < model.size(); ++bytes) use(model.substr(0, bytes), refused);
  EXPECT_EQ(refused, static_cast<int>(model.size()));
}

}  // namespace
}  // namespace initrt
