#include "sharding/checkpoint/safetensors_header.h"

#include <algorithm>
#include <optional>
#include <span>
#include <string_view>
#include <unordered_set>

#include "sharding/checkpoint/checked_json.h"
#include "sharding/checkpoint/foreign_file.h"
#include "sharding/checkpoint/formats.h"
#include "sharding/error.h"

namespace initrt {
namespace {

constexpr std::uint64_t kPrefix = 8;
constexpr std::uint64_t kMaxHeader = 100'000'000;  // the reference library's limit
constexpr std::size_t kMaxDimensions = 64;

/// data_offsets, from the end of the header.
struct DataRange {
  std::uint64_t begin = 0, end = 0;
  std::size_t tensor = 0;
  auto operator<=>(const DataRange&) const = default;
};

/// Takes the header's JSON event by event, so that a hostile header of 100 MB never becomes a tree
/// in memory: only what has the right form is kept. Depth 1 holds names, depth 2 a tensor's fields
/// (or the metadata), depth 3 the numbers of shape and data_offsets; there is nothing deeper.
class HeaderParser : public nlohmann::json_sax<nlohmann::json> {
 public:
  explicit HeaderParser(const std::string& path) : path_(path) {}

  std::vector<TensorEntry> tensors;  ///< without their places
  std::vector<DataRange> ranges;
  nlohmann::json metadata = nlohmann::json::object();

  bool start_object(std::size_t) override {
    if (depth_ >= 2 || in_array_) unexpected("an object");
    if (++depth_ == 2) {
      in_metadata_ = name_ == "__metadata__";
      fields_ = {};
    }
    return true;
  }

  bool end_object() override {
    if (depth_-- == 2 && !in_metadata_) finish_tensor();
    return true;
  }

  bool key(string_t& text) override {
    if (depth_ == 1) {
      name_ = text;
      if (!names_.insert(name_).second) {
        fail("{}: tensor {} appears twice in the header", path_, quote(name_));
      }
    } else {
      field_ = text;
      if (!in_metadata_ && field_ != "dtype" && field_ != "shape" && field_ != "data_offsets") {
        fail("{}: tensor {}: unknown key {}", path_, quote(name_), quote(field_));
      }
      const bool again = in_metadata_        ? metadata.contains(field_)
                         : field_ == "dtype" ? fields_.dtype.has_value()
                         : field_ == "shape" ? fields_.shape.has_value()
                                             : fields_.offsets.has_value();
      if (again) fail("{}: {}: key {} appears twice", path_, quote(name_), quote(field_));
    }
    return true;
  }

  bool string(string_t& text) override {
    if (depth_ == 2 && in_metadata_) {
      metadata[field_] = text;
    } else if (depth_ == 2 && field_ == "dtype" && !in_array_) {
      fields_.dtype = dtype_from_name(text);
      // GGUF's block types share the table of names but are no safetensors dtypes.
      if (!fields_.dtype || !is_safetensors(*fields_.dtype)) {
        fail("{}: tensor {}: dtype {} is not supported", path_, quote(name_), quote(text));
      }
    } else {
      unexpected("a string");
    }
    return true;
  }

  bool start_array(std::size_t) override {
    const bool numbers = depth_ == 2 && !in_metadata_ && field_ != "dtype";
    if (!numbers || in_array_) unexpected("an array");
    in_array_ = true;
    (field_ == "shape" ? fields_.shape : fields_.offsets).emplace();
    return true;
  }

  bool end_array() override {
    in_array_ = false;
    return true;
  }

  bool number_unsigned(number_unsigned_t value) override {
    if (!in_array_) unexpected("a number");
    std::vector<std::uint64_t>& numbers = *(field_ == "shape" ? fields_.shape : fields_.offsets);
    if (numbers.size() == kMaxDimensions) {
      fail("{}: tensor {}: more than {} numbers in {}", path_, quote(name_), kMaxDimensions,
           field_);
    }
    numbers.push_back(value);
    return true;
  }

  bool null() override {
    // Writers without metadata may say "__metadata__": null.
    if (depth_ == 1 && name_ == "__metadata__") return true;
    unexpected("null");
  }
  bool boolean(bool) override { unexpected("a boolean"); }
  bool number_integer(number_integer_t) override { unexpected("a negative number"); }
  bool number_float(number_float_t, const string_t&) override {
    unexpected("a number that is not a 64-bit integer");
  }
  bool binary(binary_t&) override { unexpected("binary data"); }

  bool parse_error(std::size_t position, const std::string&,
                   const nlohmann::detail::exception&) override {
    fail("{}: the header is not valid JSON at byte {}", path_, kPrefix + position);
  }

 private:
  struct Fields {
    std::optional<DType> dtype;
    std::optional<std::vector<std::uint64_t>> shape, offsets;
  };

  [[noreturn]] void unexpected(std::string_view what) const {
    if (depth_ == 0) fail("{}: the header is {}, not an object", path_, what);
    if (depth_ == 1) fail("{}: {} is {}, not an object", path_, quote(name_), what);
    fail("{}: {}: {} in key {} is not expected", path_, quote(name_), what, quote(field_));
  }

  void finish_tensor() {
    if (!fields_.dtype || !fields_.shape || !fields_.offsets) {
      fail("{}: tensor {} lacks {}", path_, quote(name_),
           !fields_.dtype   ? "dtype"
           : !fields_.shape ? "shape"
                            : "data_offsets");
    }
    const std::vector<std::uint64_t>& range = *fields_.offsets;
    if (range.size() != 2 || range[0] > range[1]) {
      fail("{}: tensor {}: data_offsets [{}] are not a [begin, end]", path_, quote(name_),
           fmt::join(range, ", "));
    }
    TensorEntry tensor{name_, *fields_.dtype, std::move(*fields_.shape), {}};
    ranges.push_back({range[0], range[1], tensors.size()});
    tensors.push_back(std::move(tensor));
  }

  const std::string& path_;
  std::unordered_set<std::string> names_;
  int depth_ = 0;
  bool in_array_ = false, in_metadata_ = false;
  std::string name_, field_;
  Fields fields_;
};

// What a file is that begins so; "" for what is not known.
std::string_view other_kind(std::span<const std::byte> begin) {
  struct Kind {
    std::string_view magic, name;
  };
  constexpr Kind kKinds[] = {
      {"PK\x03\x04", "a zip archive, as torch.save() writes (.bin, .pt)"},
      {"\x80\x02", "a pickle, as torch.save() wrote before version 1.6 (.bin)"},
      {"GGUF", "GGUF (.gguf)"},
      {"\x1f\x8b", "gzip, which is to be unpacked first (.gz)"},
      {"\x28\xb5\x2f\xfd", "Zstandard, which is to be unpacked first (.zst)"}};
  const std::string_view text(reinterpret_cast<const char*>(begin.data()), begin.size());
  for (const auto& [magic, name] : kKinds) {
    if (text.starts_with(magic)) return name;
  }
  return "";
}

std::uint64_t read_header_bytes(Files& files, const std::string& path, std::uint64_t file_size) {
  if (file_size < kPrefix) {
    fail("{}: truncated: a safetensors file opens with 8 bytes of header length, this has {}", path,
         file_size);
  }
  const std::vector<std::byte> prefix = files.read(path, 0, kPrefix);
  std::uint64_t length = 0;
  for (std::size_t i = kPrefix; i-- > 0;) length = length << 8 | static_cast<unsigned>(prefix[i]);
  if (length > kMaxHeader) {
    refuse_foreign(files, path);
    const std::string_view other = other_kind(prefix);
    if (!other.empty()) {
      fail("{}: not safetensors but {}, by its first bytes: give it that kind's name", path, other);
    }
    fail("{}: header of {} bytes (byte 0) is longer than the {} that safetensors allows", path,
         length, kMaxHeader);
  }
  if (length > file_size - kPrefix) {
    fail("{}: truncated: the header ends at byte {}, but the file has {} bytes", path,
         kPrefix + length, file_size);
  }
  return length;
}

/// Whether the range is as long as the tensor.
void check_length(const TensorEntry& tensor, const DataRange& range, const std::string& path) {
  const std::string who = fmt::format("{}: tensor {}", path, quote(tensor.name));
  std::uint64_t expected = 0;
  try {
    expected = tensor.bytes();
  } catch (const Error& error) {
    fail("{}: {}", who, error.what());
  }
  if (range.end - range.begin != expected) {
    fail("{}: {} bytes, but {} {} takes {}", who, range.end - range.begin, name(tensor.dtype),
         shape_text(tensor.shape), expected);
  }
}

/// Gives the tensors their places; the ranges must follow one another from the header to the
/// file's end.
void place_tensors(HeaderParser& header, std::uint64_t begin, const std::string& path,
                   std::uint64_t file_size) {
  std::sort(header.ranges.begin(), header.ranges.end());
  const std::uint64_t room = file_size - begin;
  std::uint64_t end = 0;  // of the tensors so far, from `begin`
  for (const DataRange& range : header.ranges) {
    TensorEntry& tensor = header.tensors[range.tensor];
    if (range.begin != end) {
      fail("{}: tensor {} begins at byte {} of the data, but {} at byte {}", path,
           quote(tensor.name), range.begin,
           range.begin < end ? "the tensor before it ends" : "a hole opens", end);
    }
    end = range.end;
    if (end > room) {
      fail(
          "{}: truncated: tensor {} ends at byte {} of the data, but only {} follow the header, "
          "which ends at byte {} of {}",
          path, quote(tensor.name), end, room, begin, file_size);
    }
    check_length(tensor, range, path);
    tensor.parts.emplace_back().offset = begin + range.begin;
  }
  if (end != room) {
    fail("{}: {} bytes follow the last tensor, which ends at byte {}; the file has {}", path,
         room - end, begin + end, file_size);
  }
}

}  // namespace

FileHeader read_safetensors_header(Files& files, const std::string& path) {
  FileHeader header;
  header.file_bytes = file_bytes(files, path);
  const std::uint64_t length = read_header_bytes(files, path, header.file_bytes);
  const std::vector<std::byte> text = files.read(path, kPrefix, length);
  if (text.empty() || text[0] != std::byte{'{'}) {
    fail("{}: byte 8 is not the '{{' that opens a safetensors header", path);
  }
  HeaderParser parser(path);
  const char* chars = reinterpret_cast<const char*>(text.data());
  nlohmann::json::sax_parse(chars, chars + text.size(), &parser);
  place_tensors(parser, kPrefix + length, path, header.file_bytes);
  header.tensors = std::move(parser.tensors);
  header.metadata = std::move(parser.metadata);
  return header;
}

}  // namespace initrt
