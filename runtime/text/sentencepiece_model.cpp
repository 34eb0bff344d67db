// The outline of a ModelProto, in protobuf's wire format. Field numbers are those of
// sentencepiece_model.proto.
#include "runtime/text/sentencepiece_model.h"

#include <algorithm>
#include <cstdint>
#include <vector>

#include "sharding/error.h"

namespace initrt {
namespace {

constexpr std::size_t kMaxModelBytes = 16u << 20;   // the largest in use have 5 MB
constexpr std::uint64_t kMaxPieces = 1u << 19;      // the largest in use have 2^18
constexpr std::size_t kMaxTrainerBytes = 1u << 20;  // settings and lists of names
constexpr std::size_t kMaxNested = 64;              // results of a search in the library
constexpr std::uint32_t kUserDefined = 4;           // ModelProto.SentencePiece.Type
constexpr std::uint32_t kUnigram = 1, kBpe = 2;     // TrainerSpec.ModelType

enum class Wire : std::uint8_t { Varint = 0, Fixed64 = 1, Bytes = 2, Fixed32 = 5 };

struct Field {
  std::uint32_t number = 0;
  Wire wire = Wire::Varint;
  std::uint64_t value = 0;  ///< of a varint
  std::string_view bytes;   ///< of Bytes
  std::size_t at = 0;       ///< its first byte in the model
  std::string_view whole;   ///< with its tag

  [[nodiscard]] bool is(std::uint32_t wanted, Wire as) const {
    return number == wanted && wire == as;
  }
};

/// Reads the fields of a message, one by one.
class Message {
 public:
  explicit Message(std::string_view bytes, std::size_t begin = 0) : bytes_(bytes), begin_(begin) {}
  explicit Message(const Field& field)
      : Message(field.bytes, field.at + (field.whole.size() - field.bytes.size())) {}

  bool next(Field& field) {
    if (at_ == bytes_.size()) return false;
    const std::size_t first = at_;
    field = {};
    field.at = begin_ + first;
    const std::uint64_t tag = varint();
    field.number = static_cast<std::uint32_t>(tag >> 3);
    field.wire = static_cast<Wire>(tag & 7);
    if (tag >> 32 != 0 || field.number == 0) malformed(field.at, "no field has this tag");
    switch (field.wire) {
      case Wire::Varint:
        field.value = varint();
        break;
      case Wire::Fixed64:
        take(8);
        break;
      case Wire::Bytes:
        field.bytes = take(varint());
        break;
      case Wire::Fixed32:
        take(4);
        break;
      default:
        malformed(field.at, "no field has this tag");
    }
    field.whole = bytes_.substr(first, at_ - first);
    return true;
  }

 private:
  [[noreturn]] static void malformed(std::size_t at, std::string_view what) {
    fail("byte {}: {}: not a SentencePiece model, or a damaged one", at, what);
  }

  std::uint64_t varint() {
    std::uint64_t value = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
      const auto byte = static_cast<unsigned char>(take(1)[0]);
      value |= static_cast<std::uint64_t>(byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
    malformed(begin_ + at_, "a number does not end");
  }

  std::string_view take(std::uint64_t count) {
    if (count > bytes_.size() - at_) {
      malformed(begin_ + at_,
                fmt::format("{} bytes are wanted, {} are left", count, bytes_.size() - at_));
    }
    const std::string_view taken = bytes_.substr(at_, count);
    at_ += taken.size();
    return taken;
  }

  std::string_view bytes_;
  std::size_t begin_;  ///< of bytes_ in the model
  std::size_t at_ = 0;
};

// The user-defined ones of the pieces go to `user_defined`.
void check_piece(const Field& piece, std::vector<std::string_view>& user_defined) {
  std::string_view text;
  bool is_user_defined = false;
  Message message(piece);
  for (Field field; message.next(field);) {
    if (field.is(1, Wire::Bytes)) text = field.bytes;
    // A number too large for an enum is cut to 32 bits, as protobuf does.
    if (field.is(3, Wire::Varint)) {
      is_user_defined |= static_cast<std::uint32_t>(field.value) == kUserDefined;
    }
  }
  if (text.empty()) fail("byte {}: a piece without text", piece.at);
  if (text.find('\0') != std::string_view::npos) {
    fail("byte {}: a piece with a zero byte in its text", piece.at);
  }
  if (is_user_defined) user_defined.push_back(text);
}

void check_nesting(std::vector<std::string_view>& user_defined) {
  std::sort(user_defined.begin(), user_defined.end());
  std::vector<std::string_view> prefixes;  // of the one looked at, itself included
  for (const std::string_view text : user_defined) {
    while (!prefixes.empty() && !text.starts_with(prefixes.back())) prefixes.pop_back();
    prefixes.push_back(text);
    if (prefixes.size() > kMaxNested) {
      fail("more than {} user-defined pieces begin with one another", kMaxNested);
    }
  }
}

void check_trainer(const Field& trainer) {
  if (trainer.bytes.size() > kMaxTrainerBytes) {
    fail("byte {}: a trainer_spec of {} bytes, more than the {} that it may have", trainer.at,
         trainer.bytes.size(), kMaxTrainerBytes);
  }
  Message message(trainer);
  for (Field field; message.next(field);) {
    if (!field.is(3, Wire::Varint)) continue;
    const auto type = static_cast<std::uint32_t>(field.value);
    if (type != kUnigram && type != kBpe) {
      fail("byte {}: model_type {} is not known here (1: unigram, 2: BPE)", field.at, type);
    }
  }
}

void check_normalizer(const Field& normalizer) {
  Message message(normalizer);
  for (Field field; message.next(field);) {
    if (!field.is(2, Wire::Bytes) || field.bytes.empty()) continue;
    try {
      check_charsmap(field.bytes);
    } catch (const Error& error) {
      fail("byte {}: precompiled_charsmap: {}", field.at, error.what());
    }
  }
}

// Texts cannot be changed as they stream.
void refuse_denormalizer(const Field& denormalizer) {
  Message message(denormalizer);
  for (Field field; message.next(field);) {
    if (field.is(2, Wire::Bytes) && !field.bytes.empty()) {
      fail("byte {}: a denormalizer, which is not known here", field.at);
    }
  }
}

}  // namespace

std::string checked_sentencepiece_model(std::string_view model_bytes) {
  if (model_bytes.size() > kMaxModelBytes) {
    fail("{} bytes, more than the {} that a SentencePiece model may have", model_bytes.size(),
         kMaxModelBytes);
  }
  std::string kept;
  std::uint64_t pieces = 0, trainers = 0, normalizers = 0;
  std::vector<std::string_view> user_defined;
  Message model(model_bytes);
  for (Field field; model.next(field);) {
    if (field.wire != Wire::Bytes) continue;
    switch (field.number) {
      case 1:
        check_piece(field, user_defined);
        ++pieces;
        break;
      case 2:
        check_trainer(field);
        ++trainers;
        break;
      case 3:
        check_normalizer(field);
        ++normalizers;
        break;
      case 5:
        refuse_denormalizer(field);
        continue;
      default:
        continue;
    }
    kept += field.whole;
  }
  if (pieces == 0 || pieces > kMaxPieces) {
    fail("{} pieces: a SentencePiece model has 1 to {}", pieces, kMaxPieces);
  }
  if (trainers != 1 || normalizers != 1) {
    fail("{} trainer_spec and {} normalizer_spec: a SentencePiece model has one of each", trainers,
         normalizers);
  }
  check_nesting(user_defined);
  return kept;
}

}  // namespace initrt
