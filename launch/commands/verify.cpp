// initrt verify: what a checkpoint's tensors hold, as hashes; or whether two checkpoints hold the
// same, whatever their formats.
#include <algorithm>

#include "launch/commands/commands.h"
#include "launch/output/standard_output.h"
#include "runtime/values/tensor_values.h"
#include "sharding/checkpoint/checked_json.h"
#include "sharding/error.h"

namespace initrt {
namespace {

using Json = nlohmann::ordered_json;

// What a listing has, all hashes in one.
struct Totals {
  Hash hash;
  std::uint64_t elements = 0, nans = 0, infinities = 0;
};

class Total {
 public:
  void add(const ListedTensor& listed, const Digest& digest) {
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

void print_hashes(const VerifyOptions& options, const TensorListing& listing) {
  ElementReader reader(listing.catalog);
  Total total;
  Json rows = Json::array();
  if (!options.json) {
    write_stdout(fmt::format("{}: {}, {}\n\n{:<32}  {:>10} {:>8} {:>8}  {}\n",
                             one_line(options.path), listing.catalog.format,
                             listing.canonical ? "the model's tensors under canonical names"
                                               : "tensors as they are stored",
                             "hash (XXH3-128 of the values)", "elements", "NaN", "Inf", "name"));
  }
  for (const ListedTensor& listed : listing.tensors) {
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
    write_stdout(fmt::format("{:<32}  {:>10} {:>8} {:>8}  {} {} {}\n", hash_text(one.hash),
                             listed.tensor.elements(), one.nans, one.infinities,
                             printable(listed.tensor.name), name(listed.stored),
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
    write_stdout(json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n");
    return;
  }
  write_stdout(fmt::format(
      "{:<32}  {:>10} {:>8} {:>8}  total of {} tensors{}\n", hash_text(all.hash), all.elements,
      all.nans, all.infinities, listing.tensors.size(),
      listing.left_out == 0 ? "" : fmt::format(", {} not the model's left out", listing.left_out)));
}

// The first name that one listing has and the other has not.
void compare_names(const VerifyOptions& options, const TensorListing& a, const TensorListing& b) {
  const auto by_name = [](const ListedTensor& one, const ListedTensor& other) {
    return one.tensor.name < other.tensor.name;
  };
  for (const bool swapped : {false, true}) {
    const TensorListing& has = swapped ? b : a;
    const TensorListing& lacks = swapped ? a : b;
    for (const ListedTensor& listed : has.tensors) {
      if (std::binary_search(lacks.tensors.begin(), lacks.tensors.end(), listed, by_name)) continue;
      fail("{} and {} differ: only {} has tensor {}", options.path, options.against,
           swapped ? options.against : options.path, quote(listed.tensor.name));
    }
  }
}

void compare(const VerifyOptions& options, const TensorListing& a, const TensorListing& b) {
  compare_names(options, a, b);
  ElementReader reader_a(a.catalog), reader_b(b.catalog);
  std::uint64_t elements = 0;
  for (std::size_t i = 0; i < a.tensors.size(); ++i) {
    const ListedTensor &one = a.tensors[i], &other = b.tensors[i];
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
    write_stdout(json.dump(2) + "\n");
    return;
  }
  write_stdout(fmt::format("equal: {} tensors, {} elements\n", a.tensors.size(), elements));
}

}  // namespace

void verify(const VerifyOptions& options) {
  LocalFiles files;
  TensorListing listing = list_tensors(files, options.path, options.format, options.stored);
  note_choice(listing.catalog);
  if (options.against.empty()) {
    print_hashes(options, listing);
    return;
  }
  TensorListing other =
      list_tensors(files, options.against, options.against_format, options.stored);
  note_choice(other.catalog);
  if (listing.canonical != other.canonical) {
    // One of them says what model it is, the other does not: only stored names are left.
    listing = list_tensors(files, options.path, options.format, true);
    other = list_tensors(files, options.against, options.against_format, true);
  }
  compare(options, listing, other);
}

}  // namespace initrt
