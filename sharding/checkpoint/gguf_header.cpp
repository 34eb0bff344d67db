#include "sharding/checkpoint/gguf_header.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "sharding/checkpoint/checked_json.h"
#include "sharding/checkpoint/foreign_file.h"
#include "sharding/checkpoint/formats.h"
#include "sharding/error.h"

namespace initrt {
namespace {

constexpr std::uint64_t kPiece = 256 << 10;         // bytes asked from Files at once
constexpr std::uint64_t kMaxHeader = 512ull << 20;  // real ones are a few MB of vocabulary
constexpr std::uint64_t kMaxValues = 1ull << 24;    // over all arrays; a JSON value takes 16 bytes
constexpr std::uint64_t kMaxName = 65535;           // the specification's limit for keys
constexpr std::uint32_t kMaxDimensions = 8;         // ggml itself stops at 4
constexpr int kMaxDepth = 4;                        // of arrays in arrays
constexpr std::uint32_t kDefaultAlignment = 32;

/// The specification's gguf_metadata_value_type.
enum class ValueType : std::uint32_t {
  U8,
  I8,
  U16,
  I16,
  U32,
  I32,
  F32,
  Bool,
  String,
  Array,
  U64,
  I64,
  F64,
};

/// Fewest bytes that a value of this type takes in the file.
std::uint64_t least_bytes(ValueType type) {
  switch (type) {
    case ValueType::U8:
    case ValueType::I8:
    case ValueType::Bool:
      return 1;
    case ValueType::U16:
    case ValueType::I16:
      return 2;
    case ValueType::U32:
    case ValueType::I32:
    case ValueType::F32:
      return 4;
    case ValueType::Array:
      return 12;
    default:
      return 8;
  }
}

struct GgmlType {
  std::uint32_t id;
  std::string_view name;
};

/// ggml's type ids and names. Those whose name is also a DType's are supported.
constexpr GgmlType kGgmlTypes[] = {
    {0, "F32"},     {1, "F16"},    {2, "Q4_0"},     {3, "Q4_1"},    {6, "Q5_0"},     {7, "Q5_1"},
    {8, "Q8_0"},    {9, "Q8_1"},   {10, "Q2_K"},    {11, "Q3_K"},   {12, "Q4_K"},    {13, "Q5_K"},
    {14, "Q6_K"},   {15, "Q8_K"},  {16, "IQ2_XXS"}, {17, "IQ2_XS"}, {18, "IQ3_XXS"}, {19, "IQ1_S"},
    {20, "IQ4_NL"}, {21, "IQ3_S"}, {22, "IQ2_S"},   {23, "IQ4_XS"}, {24, "I8"},      {25, "I16"},
    {26, "I32"},    {27, "I64"},   {28, "F64"},     {29, "IQ1_M"},  {30, "BF16"},    {34, "TQ1_0"},
    {35, "TQ2_0"},  {39, "MXFP4"}, {40, "NVFP4"},   {41, "Q1_0"},
};

/// Reads forward through the file, a piece at a time, and knows what is left of it.
class Cursor {
 public:
  Cursor(Files& files, const std::string& path, std::uint64_t bytes)
      : files_(files), path_(path), limit_(std::min(bytes, kMaxHeader)), bytes_(bytes) {}

  [[nodiscard]] std::uint64_t position() const { return position_; }

  /// Fails unless `count` items of at least `each` bytes can still follow.
  void expect(std::uint64_t count, std::uint64_t each, std::string_view what) const {
    const std::uint64_t left = limit_ - position_;
    if (each == 0 || count <= left / each) return;
    if (limit_ < bytes_) {
      fail("{}: byte {}: {} would take the header past {} bytes, the most that is read", path_,
           position_, what, limit_);
    }
    fail("{}: truncated at byte {}: {} does not fit in the {} bytes that are left", path_,
         position_, what, left);
  }

  void read(void* out, std::uint64_t bytes, std::string_view what) {
    expect(bytes, 1, what);
    auto* to = static_cast<char*>(out);
    while (bytes > 0) {
      if (position_ == piece_begin_ + piece_.size()) {
        piece_begin_ = position_;
        piece_ = files_.read(path_, position_, std::min(kPiece, limit_ - position_));
      }
      const std::uint64_t at = position_ - piece_begin_;
      const std::uint64_t now = std::min<std::uint64_t>(bytes, piece_.size() - at);
      std::memcpy(to, piece_.data() + at, now);
      position_ += now;
      to += now;
      bytes -= now;
    }
  }

  template <class T>
  T number(std::string_view what) {
    static_assert(std::endian::native == std::endian::little, "GGUF is read as little-endian");
    T value{};
    read(&value, sizeof value, what);
    return value;
  }

  /// A length and that many bytes, at most `most`.
  std::string string(std::string_view what, std::uint64_t most = kMaxHeader) {
    const auto length = number<std::uint64_t>(what);
    if (length > most) {
      fail("{}: byte {}: {} of {} bytes is longer than the {} allowed", path_, position_, what,
           length, most);
    }
    expect(length, 1, what);
    std::string text(length, '\0');
    read(text.data(), length, what);
    return text;
  }

 private:
  Files& files_;
  const std::string& path_;
  std::uint64_t limit_, bytes_;
  std::uint64_t position_ = 0, piece_begin_ = 0;
  std::vector<std::byte> piece_;
};

class HeaderReader {
 public:
  HeaderReader(Files& files, const std::string& path, std::uint64_t bytes)
      : files_(files), path_(path), cursor_(files, path, bytes) {}

  GgufHeader read() {
    GgufHeader header;
    header.metadata = nlohmann::json::object();
    check_version();
    const auto tensors = cursor_.number<std::uint64_t>("the number of tensors");
    const auto keys = cursor_.number<std::uint64_t>("the number of metadata keys");
    // A key takes at least its length, type and one byte; a tensor its length, rank, type, offset.
    cursor_.expect(keys, 13, fmt::format("a list of {} metadata keys", keys));
    cursor_.expect(tensors, 24, fmt::format("a list of {} tensors", tensors));
    for (std::uint64_t i = 0; i < keys; ++i) read_pair(header.metadata);
    const std::uint64_t alignment = read_alignment(header.metadata);
    for (std::uint64_t i = 0; i < tensors; ++i) header.tensors.push_back(read_tensor(alignment));
    const std::uint64_t data = (cursor_.position() + alignment - 1) / alignment * alignment;
    for (TensorEntry& tensor : header.tensors) {
      std::uint64_t& offset = tensor.parts.front().offset;
      if (__builtin_add_overflow(offset, data, &offset)) {
        fail("{}: tensor {}: its offset overflows", path_, quote(tensor.name));
      }
    }
    return header;
  }

 private:
  void check_version() {
    char magic[4];
    cursor_.read(magic, sizeof magic, "the magic \"GGUF\"");
    if (std::string_view(magic, 4) != "GGUF") {
      refuse_foreign(files_, path_);
      fail("{}: wrong magic {} at byte 0: expected \"GGUF\"", path_,
           quote(std::string_view(magic, 4)));
    }
    const auto version = cursor_.number<std::uint32_t>("the version");
    if (version != 0 && (version & 0xffff) == 0) {
      fail("{}: a big-endian GGUF file, which is not supported", path_);
    }
    if (version != 2 && version != 3) {
      fail("{}: GGUF version {} at byte 4 is not supported: expected 2 or 3", path_, version);
    }
  }

  void read_pair(nlohmann::json& metadata) {
    std::string key = cursor_.string("a metadata key", kMaxName);
    const std::string who = "metadata key " + quote(key);
    const auto type = static_cast<ValueType>(cursor_.number<std::uint32_t>(who));
    nlohmann::json value = read_value(type, who, 0);
    if (!metadata.emplace(std::move(key), std::move(value)).second) {
      fail("{}: {} appears twice", path_, who);
    }
  }

  nlohmann::json read_value(ValueType type, const std::string& who, int depth) {
    if (++values_ > kMaxValues) {
      fail("{}: {}: more than {} values in the header", path_, who, kMaxValues);
    }
    switch (type) {
      case ValueType::U8:
        return cursor_.number<std::uint8_t>(who);
      case ValueType::I8:
        return cursor_.number<std::int8_t>(who);
      case ValueType::U16:
        return cursor_.number<std::uint16_t>(who);
      case ValueType::I16:
        return cursor_.number<std::int16_t>(who);
      case ValueType::U32:
        return cursor_.number<std::uint32_t>(who);
      case ValueType::I32:
        return cursor_.number<std::int32_t>(who);
      case ValueType::F32:
        return cursor_.number<float>(who);
      case ValueType::U64:
        return cursor_.number<std::uint64_t>(who);
      case ValueType::I64:
        return cursor_.number<std::int64_t>(who);
      case ValueType::F64:
        return cursor_.number<double>(who);
      case ValueType::Bool:
        return read_bool(who);
      case ValueType::String:
        return cursor_.string(who);
      case ValueType::Array:
        return read_array(who, depth);
    }
    fail("{}: {} at byte {}: unknown value type {}", path_, who, cursor_.position(),
         static_cast<std::uint32_t>(type));
  }

  bool read_bool(const std::string& who) {
    const auto value = cursor_.number<std::uint8_t>(who);
    if (value > 1) {
      fail("{}: {} at byte {}: a boolean of {}", path_, who, cursor_.position() - 1, value);
    }
    return value == 1;
  }

  nlohmann::json read_array(const std::string& who, int depth) {
    if (depth == kMaxDepth) {
      fail("{}: {}: arrays nested more than {} deep", path_, who, kMaxDepth);
    }
    const auto type = static_cast<ValueType>(cursor_.number<std::uint32_t>(who));
    const auto count = cursor_.number<std::uint64_t>(who);
    cursor_.expect(count, least_bytes(type), fmt::format("{}, an array of {} values,", who, count));
    nlohmann::json array = nlohmann::json::array();
    for (std::uint64_t i = 0; i < count; ++i) array.push_back(read_value(type, who, depth + 1));
    return array;
  }

  std::uint64_t read_alignment(const nlohmann::json& metadata) const {
    const auto found = metadata.find("general.alignment");
    if (found == metadata.end()) return kDefaultAlignment;
    const std::uint64_t alignment = found->is_number_unsigned() ? found->get<std::uint64_t>() : 0;
    if (!std::has_single_bit(alignment) || alignment > (1u << 30)) {
      fail("{}: metadata key \"general.alignment\" is not a power of two", path_);
    }
    return alignment;
  }

  /// Its offset still counts from the start of the data.
  TensorEntry read_tensor(std::uint64_t alignment) {
    TensorEntry tensor;
    tensor.name = cursor_.string("a tensor's name", kMaxName);
    const std::string who = "tensor " + quote(tensor.name);
    const auto dimensions = cursor_.number<std::uint32_t>(who);
    if (dimensions > kMaxDimensions) {
      fail("{}: {} at byte {}: {} dimensions, at most {} are read", path_, who, cursor_.position(),
           dimensions, kMaxDimensions);
    }
    tensor.shape.resize(dimensions);
    for (std::uint64_t& extent : tensor.shape) extent = cursor_.number<std::uint64_t>(who);
    std::reverse(tensor.shape.begin(), tensor.shape.end());  // the file has the innermost first
    tensor.dtype = dtype_of(cursor_.number<std::uint32_t>(who), who);
    const auto offset = cursor_.number<std::uint64_t>(who);
    if (offset % alignment != 0) {
      fail("{}: {}: offset {} is not a multiple of the alignment {}", path_, who, offset,
           alignment);
    }
    tensor.parts.emplace_back().offset = offset;
    return tensor;
  }

  DType dtype_of(std::uint32_t id, const std::string& who) const {
    for (const GgmlType& type : kGgmlTypes) {
      if (type.id != id) continue;
      const std::optional<DType> dtype = dtype_from_name(type.name);
      if (!dtype) fail("{}: {}: ggml type {} ({}) is not supported", path_, who, type.name, id);
      return *dtype;
    }
    fail("{}: {}: unknown ggml type {}", path_, who, id);
  }

  Files& files_;
  const std::string& path_;
  Cursor cursor_;
  std::uint64_t values_ = 0;
};

}  // namespace

GgufHeader read_gguf_header(Files& files, const std::string& path) {
  const std::uint64_t bytes = file_bytes(files, path);
  refuse_partial_download(files, path);
  GgufHeader header = HeaderReader(files, path, bytes).read();
  header.file_bytes = bytes;
  return header;
}

}  // namespace initrt
