#include "runtime/text/sentencepiece.h"

#include <sentencepiece_processor.h>
#include <nlohmann/json.hpp>

#include <charconv>
#include <exception>

#include "runtime/text/added_tokens.h"
#include "runtime/text/sentencepiece_model.h"
#include "runtime/text/utf8.h"
#include "sharding/checkpoint/checked_json.h"
#include "sharding/error.h"

namespace initrt {
namespace {

constexpr std::string_view kSpace = "\u2581";
constexpr std::string_view kBytePrefix = "<0x";  // "<0x0A>" is byte 10

/// The library's double arrays throw where its status cannot say what is wrong.
template <class Call>
void check_status(std::string_view what, const Call& call) {
  std::string message;
  try {
    const sentencepiece::util::Status status = call();
    if (status.ok()) return;
    message = status.message();
  } catch (const std::exception& error) {
    message = error.what();
  }
  fail("{}: {}", what, quote(message));
}

class SentencePieceTokenizer final : public Tokenizer {
 public:
  explicit SentencePieceTokenizer(std::string_view model_bytes) {
    const std::string model = checked_sentencepiece_model(model_bytes);
    check_status("not a SentencePiece model that can be used",
                 [&] { return processor_.LoadFromSerializedProto(model); });
    check_status("the unknown token cannot be decoded", [&] {
      return processor_.Decode(std::vector<int>{processor_.unk_id()}, &unknown_);
    });
    std::vector<AddedToken> controls;
    for (TokenId id = 0; id < processor_.GetPieceSize(); ++id) {
      const std::string& piece = processor_.IdToPiece(id);
      if (!processor_.IsControl(id) || piece.empty()) continue;
      controls.push_back({.id = id, .content = piece, .special = true});
    }
    controls_.emplace(std::move(controls));
  }

  std::vector<TokenId> encode(std::string_view text) const override {
    std::vector<int> ids = encode_text(to_valid_utf8(text));
    if (const int bos = processor_.bos_id(); bos >= 0) ids.insert(ids.begin(), bos);
    return ids;
  }

  // Each part between control pieces by itself, as Llama's own program encodes its chats.
  std::vector<TokenId> encode_bare(std::string_view text) const override {
    const std::string valid = to_valid_utf8(text);
    std::vector<TokenId> ids;
    controls_->split(
        valid,
        [&](std::string_view part) {
          const std::vector<int> part_ids = encode_text(part);
          ids.insert(ids.end(), part_ids.begin(), part_ids.end());
        },
        [&](TokenId id) { ids.push_back(id); });
    return ids;
  }

  std::string token_bytes(TokenId id) const override {
    if (id < 0 || id >= processor_.GetPieceSize() || processor_.IsControl(id)) return {};
    if (processor_.IsUnknown(id)) return unknown_;
    const std::string& piece = processor_.IdToPiece(id);
    if (processor_.IsByte(id)) {
      unsigned char byte = 0;
      const char* digits = piece.data() + kBytePrefix.size();
      std::from_chars(digits, digits + 2, byte, 16);
      return {static_cast<char>(byte)};
    }
    std::string bytes;
    std::size_t begin = 0;
    for (std::size_t end; (end = piece.find(kSpace, begin)) != std::string::npos;) {
      bytes.append(piece, begin, end - begin).append(1, ' ');
      begin = end + kSpace.size();
    }
    return bytes.append(piece, begin);
  }

  std::size_t vocabulary() const override {
    return static_cast<std::size_t>(processor_.GetPieceSize());
  }

  std::optional<TokenId> token_id(std::string_view token) const override {
    const int id = processor_.PieceToId(token);
    if (processor_.IdToPiece(id) != token) return {};  // the unknown token's, of all that is none
    return id;
  }

  std::optional<TokenId> end_token() const override {
    const int eos = processor_.eos_id();
    return eos < 0 ? std::nullopt : std::optional<TokenId>(eos);
  }

 private:
  [[nodiscard]] std::vector<int> encode_text(std::string_view valid) const {
    std::vector<int> ids;
    check_status("SentencePiece cannot encode the text",
                 [&] { return processor_.Encode(valid, &ids); });
    return ids;
  }

  sentencepiece::SentencePieceProcessor processor_;
  std::optional<AddedTokenFinder> controls_;
  std::string unknown_;  ///< what the unknown token is decoded to
};

}  // namespace

std::unique_ptr<Tokenizer> make_sentencepiece_tokenizer(std::string_view model_bytes) {
  return std::make_unique<SentencePieceTokenizer>(model_bytes);
}

}  // namespace initrt
