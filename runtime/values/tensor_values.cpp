#include "runtime/values/tensor_values.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <span>
#include <vector>

#include "sharding/error.h"

namespace initrt {
namespace {

constexpr std::uint64_t kEncodedAtOnce = 1u << 16;

// A tensor's elements, some after the other.
class Values {
 public:
  Values(ElementReader& reader, const ListedTensor& listed)
      : reader_(reader),
        listed_(listed),
        at_once_(reader.elements_at_once(listed.binding, listed.read_as)) {}

  [[nodiscard]] bool is_float() const {
    return listed_.read_as == DType::F32 || listed_.read_as == DType::F64;
  }

  /// Reads the elements from `begin` on, as many as are good to have at once. @returns how many
  std::uint64_t read(std::uint64_t begin) {
    const std::uint64_t elements = std::min(at_once_, listed_.tensor.elements() - begin);
    bytes_.resize(bytes_of(listed_.read_as, elements));
    reader_.read(listed_.tensor, listed_.binding, begin, begin + elements, listed_.read_as, bytes_);
    return elements;
  }

  /// What was read last, in `read_as`.
  [[nodiscard]] std::span<const std::byte> bytes() const { return bytes_; }
  [[nodiscard]] std::span<std::byte> bytes() { return bytes_; }

  /// Element `i` of it as float64, which holds them all. Only where is_float().
  [[nodiscard]] double operator[](std::uint64_t i) const {
    if (listed_.read_as == DType::F64) return value<double>(i);
    return static_cast<double>(value<float>(i));
  }

 private:
  template <class T>
  [[nodiscard]] T value(std::uint64_t i) const {
    T value;
    std::memcpy(&value, bytes_.data() + i * sizeof value, sizeof value);
    return value;
  }

  ElementReader& reader_;
  const ListedTensor& listed_;
  const std::uint64_t at_once_;
  std::vector<std::byte> bytes_;
};

// Appends a value to what is hashed: four bytes where float32 holds it, as it does all values of
// the smaller types, else eight. A checkpoint in float64 of the same values has the same hash.
void add_value(double value, std::vector<std::byte>& out) {
  const auto single = static_cast<float>(value);
  const bool exact = static_cast<double>(single) == value || std::isnan(value);
  const std::uint32_t bits = std::isnan(value) ? 0x7fc00000u : std::bit_cast<std::uint32_t>(single);
  const auto* const from = exact ? reinterpret_cast<const std::byte*>(&bits)
                                 : reinterpret_cast<const std::byte*>(&value);
  out.insert(out.end(), from, from + (exact ? sizeof bits : sizeof value));
}

// Float32 values as they are hashed: any NaN as the same one. Without branches, so that the
// compiler makes vector code of it.
void count_and_canonicalize(std::span<std::byte> floats, Digest& digest) {
  constexpr std::uint32_t kInfinity = 0x7f800000u, kNan = 0x7fc00000u;
  for (std::size_t at = 0; at < floats.size(); at += sizeof(std::uint32_t)) {
    std::uint32_t bits = 0;
    std::memcpy(&bits, floats.data() + at, sizeof bits);
    const std::uint32_t magnitude = bits & 0x7fffffffu;
    digest.nans += magnitude > kInfinity ? 1 : 0;
    digest.infinities += magnitude == kInfinity ? 1 : 0;
    bits = magnitude > kInfinity ? kNan : bits;
    std::memcpy(floats.data() + at, &bits, sizeof bits);
  }
}

std::string index_text(std::uint64_t element, const std::vector<std::uint64_t>& shape) {
  std::vector<std::uint64_t> index(shape.size());
  for (std::size_t d = shape.size(); d-- > 0; element /= shape[d]) index[d] = element % shape[d];
  return fmt::format("[{}]", fmt::join(index, ", "));
}

bool is_same(double a, double b) {
  return std::bit_cast<std::uint64_t>(a) == std::bit_cast<std::uint64_t>(b) ||
         (std::isnan(a) && std::isnan(b));
}

}  // namespace

Digest digest(ElementReader& reader, const ListedTensor& listed) {
  Digest digest;
  Hasher hasher;
  Values values(reader, listed);
  std::vector<std::byte> encoded;
  std::uint64_t read = 0;
  for (std::uint64_t begin = 0; begin < listed.tensor.elements(); begin += read) {
    read = values.read(begin);
    if (listed.read_as == DType::F32) count_and_canonicalize(values.bytes(), digest);
    if (listed.read_as != DType::F64) {
      hasher.add(values.bytes());
      continue;
    }
    for (std::uint64_t i = 0; i < read;) {
      encoded.clear();
      for (const std::uint64_t end = std::min(read, i + kEncodedAtOnce); i < end; ++i) {
        const double value = values[i];
        digest.nans += std::isnan(value) ? 1 : 0;
        digest.infinities += std::isinf(value) ? 1 : 0;
        add_value(value, encoded);
      }
      hasher.add(encoded);
    }
  }
  digest.hash = hasher.value();
  return digest;
}

std::string first_difference(ElementReader& reader_a, const ListedTensor& a,
                             ElementReader& reader_b, const ListedTensor& b) {
  Values values_a(reader_a, a), values_b(reader_b, b);
  const bool floats = values_a.is_float();
  if (floats != values_b.is_float() || (!floats && a.read_as != b.read_as)) {
    return fmt::format("is {} and {}", name(a.stored), name(b.stored));
  }
  const DTypeInfo& type = info(a.read_as);
  std::uint64_t end_a = 0, end_b = 0, begin_a = 0, begin_b = 0;  // what each has read
  for (std::uint64_t begin = 0; begin < a.tensor.elements();) {
    if (begin == end_a) end_a = (begin_a = begin) + values_a.read(begin);
    if (begin == end_b) end_b = (begin_b = begin) + values_b.read(begin);
    const std::uint64_t end = std::min(end_a, end_b);
    const auto part = [&](const Values& values, std::uint64_t read_from, DType read_as) {
      return values.bytes().subspan(bytes_of(read_as, begin - read_from),
                                    bytes_of(read_as, end - begin));
    };
    const auto one = part(values_a, begin_a, a.read_as), other = part(values_b, begin_b, b.read_as);
    const bool same_bytes =
        a.read_as == b.read_as && std::memcmp(one.data(), other.data(), one.size()) == 0;
    for (std::uint64_t i = begin; !same_bytes && i < end; i += type.block_elements) {
      if (floats) {
        const double x = values_a[i - begin_a], y = values_b[i - begin_b];
        if (is_same(x, y)) continue;
        return fmt::format("differs at {}: {} and {}", index_text(i, a.shape), x, y);
      }
      const std::uint64_t at = bytes_of(a.read_as, i - begin);
      if (std::memcmp(one.data() + at, other.data() + at, type.block_bytes) != 0) {
        return fmt::format("differs at {}", index_text(i, a.shape));
      }
    }
    begin = end;
  }
  return "";
}

}  // namespace initrt
