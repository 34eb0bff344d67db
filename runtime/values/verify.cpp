#include "runtime/values/verify.h"

#include <algorithm>

#include "sharding/checkpoint/checked_json.h"
#include "sharding/checkpoint/note_choice.h"
#include "sharding/error.h"

namespace initrt {
namespace {

// The first name that one listing has and the other has not, as a sentence's end.
std::string difference_of_names(const TensorListing& a, const CheckpointPath& path_a,
                                const TensorListing& b, const CheckpointPath& path_b) {
  const auto by_name = [](const ListedTensor& one, const ListedTensor& other) {
    return one.tensor.name < other.tensor.name;
  };
  for (const bool swapped : {false, true}) {
    const TensorListing& has = swapped ? b : a;
    const TensorListing& lacks = swapped ? a : b;
    for (const ListedTensor& listed : has.tensors) {
      if (std::binary_search(lacks.tensors.begin(), lacks.tensors.end(), listed, by_name)) continue;
      return fmt::format("only {} has tensor {}", swapped ? path_b.path : path_a.path,
                         quote(listed.tensor.name));
    }
  }
  return "";
}

// Of two listings of the same names, the same. Counts what is equal.
std::string difference_of_values(const TensorListing& a, const TensorListing& b,
                                 Comparison& comparison) {
  ElementReader reader_a(a.catalog), reader_b(b.catalog);
  for (std::size_t i = 0; i < a.tensors.size(); ++i) {
    const ListedTensor &one = a.tensors[i], &other = b.tensors[i];
    const std::string difference =
        one.shape != other.shape
            ? fmt::format("has shape {} and {}", shape_text(one.shape), shape_text(other.shape))
            : first_difference(reader_a, one, reader_b, other);
    if (!difference.empty()) return fmt::format("tensor {} {}", quote(one.tensor.name), difference);
    ++comparison.tensors;
    comparison.elements += one.tensor.elements();
  }
  return "";
}

}  // namespace

TotalDigest digest_all(const TensorListing& listing,
                       const std::function<void(const ListedTensor&, const Digest&)>& on_tensor) {
  ElementReader reader(listing.catalog);
  Hasher hasher;
  TotalDigest total;
  for (const ListedTensor& listed : listing.tensors) {
    const Digest one = digest(reader, listed);
    const std::string line = fmt::format("{} {} {}\n", listed.tensor.name, shape_text(listed.shape),
                                         hash_text(one.hash));
    hasher.add(std::as_bytes(std::span(line)));
    total.elements += listed.tensor.elements();
    total.nans += one.nans;
    total.infinities += one.infinities;
    if (on_tensor) on_tensor(listed, one);
  }
  total.hash = hasher.value();
  return total;
}

Comparison compare_checkpoints(Files& files, const CheckpointPath& a, const CheckpointPath& b,
                               bool stored, const Notices& notices) {
  TensorListing first = list_tensors(files, a.path, a.format, stored);
  note_choice(first.catalog, notices);
  TensorListing second = list_tensors(files, b.path, b.format, stored);
  note_choice(second.catalog, notices);
  if (first.canonical != second.canonical) {
    // One of them says what model it is, the other does not: only stored names are left.
    first = list_tensors(files, a.path, a.format, true);
    second = list_tensors(files, b.path, b.format, true);
  }
  Comparison comparison;
  std::string difference = difference_of_names(first, a, second, b);
  if (difference.empty()) difference = difference_of_values(first, second, comparison);
  if (!difference.empty()) {
    comparison.difference = fmt::format("{} and {} differ: {}", a.path, b.path, difference);
  }
  return comparison;
}

}  // namespace initrt
