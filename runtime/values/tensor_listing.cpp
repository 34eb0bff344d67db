#include "runtime/values/tensor_listing.h"

#include <algorithm>

#include "runtime/convert/convert.h"
#include "runtime/model/family.h"
#include "sharding/error.h"

namespace initrt {
namespace {

DType read_as(DType stored) {
  if (stored == DType::F64) return DType::F64;
  return can_convert(stored, DType::F32) ? DType::F32 : stored;
}

constexpr std::string_view kHint = "(verify --stored takes the tensors that are there)";

// Of the model that the checkpoint's config says. @throws as bind()
Bindings bind_canonical(const Graph& graph, const Catalog& catalog) {
  try {
    return bind(graph, catalog, false);
  } catch (const UnfitCheckpoint& error) {
    throw UnfitCheckpoint(fmt::format("{} {}", error.what(), kHint));
  } catch (const Error& error) {
    fail("{} {}", error.what(), kHint);
  }
}

// All that is listed must be there, by the checkpoint's own account at least.
void check_complete(const Catalog& catalog, bool stored) {
  if (!stored && knows_family(catalog.config)) {
    (void)bind_canonical(build_graph(catalog.config), catalog);
  } else if (const std::string text = describe_absent(catalog); !text.empty()) {
    throw UnfitCheckpoint(text);
  }
}

// The model's tensors, or false where the checkpoint's config is of no known family.
bool list_canonical(TensorListing& listing) {
  if (!knows_family(listing.catalog.config)) return false;
  const Graph graph = build_graph(listing.catalog.config);
  Bindings bindings = bind_canonical(graph, listing.catalog);
  for (std::size_t i = 0; i < graph.tensors.size(); ++i) {
    ListedTensor listed;
    listed.tensor = graph.tensors[i];
    listed.shape = listed.tensor.shape();
    listed.stored = listing.catalog.tensors[bindings.tensors[i].runs.front().source].dtype;
    listed.read_as = bindings.tensors[i].quantized ? DType::F32 : read_as(listed.stored);
    listed.binding = std::move(bindings.tensors[i]);
    listing.tensors.push_back(std::move(listed));
  }
  listing.left_out = bindings.skipped + bindings.unexpected.size();
  return true;
}

}  // namespace

ListedTensor list_stored(const TensorEntry& entry, std::uint32_t index) {
  ListedTensor listed;
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

TensorListing list_tensors(Files& files, const std::string& path, const std::string& format,
                           bool stored) {
  TensorListing listing;
  listing.catalog = open_checkpoint(
      files, path, format, [&](const Catalog& catalog) { check_complete(catalog, stored); });
  listing.canonical = !stored && list_canonical(listing);
  if (!listing.canonical) {
    listing.tensors.clear();
    for (std::uint32_t i = 0; i < listing.catalog.tensors.size(); ++i) {
      listing.tensors.push_back(list_stored(listing.catalog.tensors[i], i));
    }
  }
  std::sort(
      listing.tensors.begin(), listing.tensors.end(),
      [](const ListedTensor& a, const ListedTensor& b) { return a.tensor.name < b.tensor.name; });
  return listing;
}

}  // namespace initrt
