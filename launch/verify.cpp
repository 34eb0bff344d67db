// initrt verify: what a checkpoint's tensors hold, as hashes; or whether two checkpoints hold the
// same, whatever their formats. Streamed: memory stays at a few blocks.
#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <optional>

#include "launch/commands.h"
#include "launch/hash.h"
#include "launch/standard_output.h"
#include "runtime/load/convert.h"
#include "runtime/load/element_reader.h"
#include "runtime/model/family.h"
#include "sharding/checkpoint/checked_json.h"
#include "sharding/error.h"

namespace initrt {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::uint64_t kEncodedAtOnce = 1u << 16;

// One tensor to go through: where it comes from, and how its elements are compared.
struct Listed {
  Tensor tensor;  // shape as [rows, columns]
  std::vector<std::uint64_t> shape;
  Binding binding;
  DType stored = DType::F32;
  DType read_as = DType::F32;  // float32 holds all floating-point types but float64
};

// A checkpoint and its tensors: those of the model, under canonical names and in canonical order,
// where there is a config of a known family; else all of them, as they are stored.
struct Listing {
  Catalog catalog;
  std::vector<Listed> tensors;  // sorted by name
  bool canonical = false;
  std::size_t left_out = 0;  // of the checkpoint, not the model's
};

DType read_as(DType stored) {
  if (stored == DType::F64) return DType::F64;
  return can_convert(stored, DType::F32) ? DType::F32 : stored;
}

// A tensor by itself, as it is stored.
Listed as_stored(const TensorEntry& entry, std::uint32_t index) {
  Listed listed;
  listed.tensor.name = entry.name;
  listed.tensor.vector = entry.shape.size() <= 1;
  listed.tensor.columns = listed.tensor.vector ? 1 : entry.shape.back();
  listed.tensor.rows = entry.elements() == 0
                           ? 0
                           : entry.elements() / std::max<std::uint64_t>(1, listed.tensor.columns);
  listed.shape = entry.shape;
  RowRun run;
  run.source = index;
  run.rows = listed.tensor.rows;
  run.columns = listed.tensor.columns;
  listed.binding.runs = {run};
  listed.stored = entry.dtype;
  listed.read_as = read_as(entry.dtype);
  return listed;
}

// The model's tensors, or false where the checkpoint's config is of no known family.
bool list_canonical(Listing& listing) {
  if (!knows_family(listing.catalog.config)) return false;
  const Graph graph = build_graph(listing.catalog.config);
  Bindings bindings = bind(graph, listing.catalog, false);
  for (std::size_t i = 0; i < graph.tensors.size(); ++i) {
    Listed listed;
    listed.tensor = graph.tensors[i];
    listed.shape = {listed.tensor.rows};
    if (!listed.tensor.vector) listed.shape.push_back(listed.tensor.columns);
    listed.stored = listing.catalog.tensors[bindings.tensors[i].runs.front().source].dtype;
    listed.read_as = read_as(listed.stored);
    listed.binding = std::move(bindings.tensors[i]);
    listing.tensors.push_back(std::move(listed));
  }
  listing.left_out = bindings.skipped + bindings.unexpected.size();
  return true;
}

Listing list(Files& files, const std::string& path, const std::string& format, bool stored) {
  Listing listing;
  listing.catalog = open_checkpoint(files, path, format);
  note_choice(listing.catalog);
  listing.canonical = !stored && list_canonical(listing);
  if (!listing.canonical) {
    listing.tensors.clear();
    for (std::uint32_t i = 0; i < listing.catalog.tensors.size(); ++i) {
      listing.tensors.push_back(as_stored(listing.catalog.tensors[i], i));
    }
  }
  std::sort(listing.tensors.begin(), listing.tensors.end(),
            [](const Listed& a, const Listed& b) { return a.tensor.name < b.tensor.name; });
  return listing;
}

// What a tensor's values are, whatever they are stored as.
struct Digest {
  Hash hash;
  std::uint64_t nans = 0, infinities = 0;
};

// A tensor's elements, some after the other.
class Values {
 public:
  Values(ElementReader& reader, const Listed& listed)
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
  const Listed& listed_;
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

Digest digest(ElementReader& reader, const Listed& listed) {
  Digest digest;
  Hasher hasher;
  Values values(reader, listed);
  std::vector<std::byte> encoded;
  std::uint64_t read = 0;
  for (std::uint64_t begin = 0; begin < listed.tensor.elements(); begin += read) {
    read = values.read(begin);
    if (!values.is_float()) hasher.add(values.bytes());
    for (std::uint64_t i = 0; values.is_float() && i < read;) {
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

std::string index_text(std::uint64_t element, const std::vector<std::uint64_t>& shape) {
  std::vector<std::uint64_t> index(shape.size());
  for (std::size_t d = shape.size(); d-- > 0; element /= shape[d]) index[d] = element % shape[d];
  return fmt::format("[{}]", fmt::join(index, ", "));
}

bool is_same(double a, double b) {
  return std::bit_cast<std::uint64_t>(a) == std::bit_cast<std::uint64_t>(b) ||
         (std::isnan(a) && std::isnan(b));
}

// The first element at which two tensors of the same shape differ, as a sentence's end; or "".
std::string first_difference(ElementReader& reader_a, const Listed& a, ElementReader& reader_b,
                             const Listed& b) {
  Values values_a(reader_a, a), values_b(reader_b, b);
  const bool floats = values_a.is_float();
  if (floats != values_b.is_float() || (!floats && a.read_as != b.read_as)) {
    return fmt::format("is {} and {}", name(a.stored), name(b.stored));
  }
  const DTypeInfo& type = info(a.read_as);
  std::uint64_t end_a = 0, end_b = 0, begin_a = 0, begin_b = 0;  // what each has read
  for (std::uint64_t i = 0; i < a.tensor.elements(); i += type.block_elements) {
    if (i == end_a) end_a = (begin_a = i) + values_a.read(i);
    if (i == end_b) end_b = (begin_b = i) + values_b.read(i);
    if (floats) {
      const double one = values_a[i - begin_a], other = values_b[i - begin_b];
      if (is_same(one, other)) continue;
      return fmt::format("differs at {}: {} and {}", index_text(i, a.shape), one, other);
    }
    if (std::memcmp(values_a.bytes().data() + bytes_of(a.read_as, i - begin_a),
                    values_b.bytes().data() + bytes_of(a.read_as, i - begin_b),
                    type.block_bytes) != 0) {
      return fmt::format("differs at {}", index_text(i, a.shape));
    }
  }
  return "";
}

// What a listing has, all hashes in one.
struct Totals {
  Hash hash;
  std::uint64_t elements = 0, nans = 0, infinities = 0;
};

class Total {
 public:
  void add(const Listed& listed, const Digest& digest) {
    const std::string line = fmt::format("{} {} {}\n", listed.tensor.name, shape_text(listed.shape),
                                         hash_text(digest.hash));
    hasher_.add(std::as_bytes(std::span(line)));
    totals_.elements += listed.tensor.elements();
    totals_.nans += digest.nans;
    totals_.infinities += digest.infinities;
  }

  [[nodiscard]] Totals value() const {
    Totals totals = totals_;
    totals.hash = hasher_.value();
    return totals;
  }

 private:
  Hasher hasher_;
  Totals totals_;
};

void print_hashes(const VerifyOptions& options, const Listing& listing) {
  ElementReader reader(listing.catalog);
  Total total;
  Json rows = Json::array();
  if (!options.json) {
    put(fmt::format("{}: {}, {}\n\n{:<32}  {:>10} {:>8} {:>8}  {}\n", one_line(options.path),
                    listing.catalog.format,
                    listing.canonical ? "the model's tensors under canonical names"
                                      : "tensors as they are stored",
                    "hash (XXH3-128 of the values)", "elements", "NaN", "Inf", "name"));
  }
  for (const Listed& listed : listing.tensors) {
    const Digest one = digest(reader, listed);
    total.add(listed, one);
    if (options.json) {
      rows.push_back({{"name", listed.tensor.name},
                      {"dtype", name(listed.stored)},
                      {"shape", listed.shape},
                      {"nan", one.nans},
                      {"inf", one.infinities},
                      {"hash", hash_text(one.hash)}});
      continue;
    }
    const std::string quoted = quote(listed.tensor.name);
    put(fmt::format("{:<32}  {:>10} {:>8} {:>8}  {} {} {}\n", hash_text(one.hash),
                    listed.tensor.elements(), one.nans, one.infinities,
                    quoted.substr(1, quoted.size() - 2), name(listed.stored),
                    shape_text(listed.shape)));
  }
  const Totals all = total.value();
  if (options.json) {
    const Json json = {{"path", options.path},
                       {"format", listing.catalog.format},
                       {"canonical", listing.canonical},
                       {"left_out", listing.left_out},
                       {"tensors", rows},
                       {"elements", all.elements},
                       {"nan", all.nans},
                       {"inf", all.infinities},
                       {"hash", hash_text(all.hash)}};
    put(json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n");
    return;
  }
  put(fmt::format(
      "{:<32}  {:>10} {:>8} {:>8}  total of {} tensors{}\n", hash_text(all.hash), all.elements,
      all.nans, all.infinities, listing.tensors.size(),
      listing.left_out == 0 ? "" : fmt::format(", {} not the model's left out", listing.left_out)));
}

// The first name that one listing has and the other has not.
void compare_names(const VerifyOptions& options, const Listing& a, const Listing& b) {
  const auto by_name = [](const Listed& one, const Listed& other) {
    return one.tensor.name < other.tensor.name;
  };
  for (const bool swapped : {false, true}) {
    const Listing& has = swapped ? b : a;
    const Listing& lacks = swapped ? a : b;
    for (const Listed& listed : has.tensors) {
      if (std::binary_search(lacks.tensors.begin(), lacks.tensors.end(), listed, by_name)) continue;
      fail("{} and {} differ: only {} has tensor {}", options.path, options.against,
           swapped ? options.against : options.path, quote(listed.tensor.name));
    }
  }
}

void compare(const VerifyOptions& options, const Listing& a, const Listing& b) {
  compare_names(options, a, b);
  ElementReader reader_a(a.catalog), reader_b(b.catalog);
  std::uint64_t elements = 0;
  for (std::size_t i = 0; i < a.tensors.size(); ++i) {
    const Listed &one = a.tensors[i], &other = b.tensors[i];
    const std::string difference =
        one.shape != other.shape
            ? fmt::format("has shape {} and {}", shape_text(one.shape), shape_text(other.shape))
            : first_difference(reader_a, one, reader_b, other);
    if (!difference.empty()) {
      fail("{} and {} differ: tensor {} {}", options.path, options.against, quote(one.tensor.name),
           difference);
    }
    elements += one.tensor.elements();
  }
  if (options.json) {
    const Json json = {{"equal", true}, {"tensors", a.tensors.size()}, {"elements", elements}};
    put(json.dump(2) + "\n");
    return;
  }
  put(fmt::format("equal: {} tensors, {} elements\n", a.tensors.size(), elements));
}

}  // namespace

void verify(const VerifyOptions& options) {
  LocalFiles files;
  Listing listing = list(files, options.path, options.format, options.stored);
  if (options.against.empty()) {
    print_hashes(options, listing);
    return;
  }
  Listing other = list(files, options.against, options.against_format, options.stored);
  if (listing.canonical != other.canonical) {
    // One of them says what model it is, the other does not: only stored names are left.
    listing = list(files, options.path, options.format, true);
    other = list(files, options.against, options.against_format, true);
  }
  compare(options, listing, other);
}

}  // namespace initrt
