// initrt inspect: what a checkpoint holds, from its headers.
#include <algorithm>
#include <map>
#include <set>

#include "launch/commands/commands.h"
#include "launch/output/log.h"
#include "launch/output/standard_output.h"
#include "runtime/start/without_weights.h"
#include "runtime/storage/local_files.h"
#include "sharding/checkpoint/checked_json.h"
#include "sharding/checkpoint/note_choice.h"
#include "sharding/error.h"
#include "sharding/human_bytes.h"
#include "sharding/precision.h"

namespace initrt {
namespace {

using Json = nlohmann::ordered_json;

struct DTypeTotal {
  std::uint64_t tensors = 0, bytes = 0;
};

std::map<std::string, DTypeTotal> totals_by_dtype(const Catalog& catalog) {
  std::map<std::string, DTypeTotal> totals;
  for (const TensorEntry& tensor : catalog.tensors) {
    DTypeTotal& total = totals[std::string(name(tensor.dtype))];
    ++total.tensors;
    total.bytes += tensor.bytes();
  }
  return totals;
}

// Where a part lies; begin, shape and strides only where it is not the whole tensor, row by row.
Json part_json(const TensorPart& part) {
  Json json = {{"file", part.file}, {"offset", part.offset}};
  if (!part.shape.empty()) {
    json["begin"] = part.begin;
    json["shape"] = part.shape;
  }
  if (!part.strides.empty()) json["strides"] = part.strides;
  return json;
}

// The file that a tensor is in, or how many it is spread over.
std::string place_text(const Catalog& catalog, const TensorEntry& tensor) {
  std::set<std::uint32_t> files;
  for (const TensorPart& part : tensor.parts) files.insert(part.file);
  if (files.size() == 1) return one_line(catalog.files[*files.begin()].path);
  return fmt::format("{} files", files.size());
}

Json catalog_json(const Catalog& catalog) {
  Json files = Json::array(), tensors = Json::array(), dtypes = Json::object();
  const bool weights = catalog.format != kNoWeights;
  for (const CheckpointFile& file : catalog.files) {
    if (weights) files.push_back({{"path", file.path}, {"bytes", file.bytes}});
  }
  for (const TensorEntry& tensor : catalog.tensors) {
    Json parts = Json::array();
    for (const TensorPart& part : tensor.parts) {
      if (weights) parts.push_back(part_json(part));
    }
    tensors.push_back({{"name", tensor.name},
                       {"dtype", name(tensor.dtype)},
                       {"shape", tensor.shape},
                       {"bytes", tensor.bytes()},
                       {"parts", parts}});
  }
  for (const auto& [dtype, total] : totals_by_dtype(catalog)) {
    dtypes[dtype] = {{"tensors", total.tensors}, {"bytes", total.bytes}};
  }
  return {{"path", catalog.path},
          {"format", catalog.format},
          {"files", files},
          {"dtypes", dtypes},
          {"tensors", tensors}};
}

std::string catalog_text(const Catalog& catalog) {
  std::uint64_t bytes = 0, elements = 0;
  std::size_t widest = 4, widest_shape = 5;
  for (const TensorEntry& tensor : catalog.tensors) {
    bytes += tensor.bytes();
    elements += tensor.elements();
    widest = std::max(widest, tensor.name.size());
    widest_shape = std::max(widest_shape, shape_text(tensor.shape).size());
  }
  widest = std::min<std::size_t>(widest, 64);
  const std::string files =
      catalog.format == kNoWeights
          ? "no weights"
          : fmt::format("{} file{}", catalog.files.size(), catalog.files.size() == 1 ? "" : "s");
  std::string text =
      fmt::format("{}: {}, {}, {} tensors, {} elements, {}\n", one_line(catalog.path),
                  catalog.format, files, catalog.tensors.size(), elements, human_bytes(bytes));
  for (const auto& [dtype, total] : totals_by_dtype(catalog)) {
    text += fmt::format("  {:<8} {:>6} tensors {:>10}\n", dtype, total.tensors,
                        human_bytes(total.bytes));
  }
  text += fmt::format("\n{:<{}}  {:<8} {:<{}} {:>10}{}\n", "name", widest, "dtype", "shape",
                      widest_shape, "bytes", catalog.files.size() > 1 ? "  file" : "");
  for (const TensorEntry& tensor : catalog.tensors) {
    text += fmt::format("{:<{}}  {:<8} {:<{}} {:>10}", printable(tensor.name), widest,
                        name(tensor.dtype), shape_text(tensor.shape), widest_shape,
                        human_bytes(tensor.bytes()));
    if (catalog.files.size() > 1) text += "  " + place_text(catalog, tensor);
    text += '\n';
  }
  return text;
}

}  // namespace

void inspect(const InspectOptions& options) {
  LocalFiles files;
  const Catalog catalog = open_checkpoint_or_config(
      files, options.path, options.format, precision_from_name(ModelOptions().precision)->dtype);
  note_choice(catalog, log_notices());
  const std::string out =
      options.json
          ? catalog_json(catalog).dump(2, ' ', false, Json::error_handler_t::replace) + "\n"
          : catalog_text(catalog);
  write_stdout(out);
}

}  // namespace initrt
