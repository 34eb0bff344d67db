// Meta's checkpoints: consolidated.00.pth, .01.pth, ..., one for each rank of the tensor-parallel
// world that the model was made for, and params.json. A tensor is split by rows or by columns over
// them, as fairscale's layers do, or the same in each (github.com/meta-llama/llama, model.py).
#include <algorithm>
#include <array>
#include <map>

#include "sharding/checkpoint/checked_json.h"
#include "sharding/checkpoint/config/config_reader.h"
#include "sharding/checkpoint/config/model_config.h"
#include "sharding/checkpoint/formats.h"
#include "sharding/checkpoint/torch/torch_parts.h"
#include "sharding/error.h"

namespace initrt {
namespace {

constexpr std::string_view kPrefix = "consolidated.", kSuffix = ".pth";
constexpr std::uint64_t kMaxWidth = 1u << 30;

enum class Split : std::uint8_t { No, Rows, Columns };

// How fairscale's layers cut a weight: ColumnParallelLinear by rows of [out, in], RowParallelLinear
// by columns. LLaMA 1 and 2 cut the embedding by columns (ParallelEmbedding), Llama 3 by rows
// (VocabParallelEmbedding): where a piece is as wide as the model, the rows are cut.
Split split_of(const TensorEntry& piece, std::uint64_t width) {
  struct Rule {
    std::string_view end;
    Split split;
  };
  constexpr std::array kRules = {
      Rule{"attention.wq.weight", Split::Rows},    Rule{"attention.wk.weight", Split::Rows},
      Rule{"attention.wv.weight", Split::Rows},    Rule{"attention.wo.weight", Split::Columns},
      Rule{"feed_forward.w1.weight", Split::Rows}, Rule{"feed_forward.w2.weight", Split::Columns},
      Rule{"feed_forward.w3.weight", Split::Rows},
  };
  if (piece.shape.size() != 2) return Split::No;
  if (piece.name == "output.weight") return Split::Rows;
  if (piece.name == "tok_embeddings.weight") {
    return piece.shape[1] == width ? Split::Rows : Split::Columns;
  }
  const auto rule = std::find_if(kRules.begin(), kRules.end(), [&](const Rule& candidate) {
    return piece.name.ends_with(candidate.end);
  });
  return rule == kRules.end() ? Split::No : rule->split;
}

// Puts the pieces of one tensor together.
TensorEntry join(const Catalog& catalog, std::vector<TensorEntry> pieces, std::uint64_t width) {
  TensorEntry whole = pieces.front();
  const Split split = split_of(whole, width);
  if (split == Split::No || pieces.size() == 1) return whole;
  const std::size_t along = split == Split::Rows ? 0 : 1;
  whole.shape[along] = 0;
  whole.parts.clear();
  for (TensorEntry& piece : pieces) {
    TensorPart& part = piece.parts.front();
    if (piece.dtype != whole.dtype || piece.shape.size() != 2 ||
        piece.shape[1 - along] != whole.shape[1 - along]) {
      fail("{}: tensor {} is {} {}, which does not go with the piece in {}",
           catalog.files[part.file].path, quote(piece.name), name(piece.dtype),
           shape_text(piece.shape), catalog.files.front().path);
    }
    part.begin.assign(2, 0);
    part.begin[along] = whole.shape[along];
    part.shape = piece.shape;
    whole.shape[along] += piece.shape[along];
    whole.parts.push_back(std::move(part));
  }
  return whole;
}

// The tensors of all files, each with its pieces in the files' order.
std::vector<TensorEntry> join_all(const Catalog& catalog, std::vector<TensorEntry> tensors,
                                  std::uint64_t width) {
  std::map<std::string, std::vector<TensorEntry>> pieces;
  for (TensorEntry& tensor : tensors) pieces[tensor.name].push_back(std::move(tensor));
  std::vector<TensorEntry> joined;
  for (auto& [name, of_one] : pieces) {
    for (std::uint32_t file = 0; file < catalog.files.size(); ++file) {
      if (file < of_one.size() && of_one[file].parts.front().file == file) continue;
      fail("{}: tensor {} is not in this file, but in others of the checkpoint",
           catalog.files[file].path, quote(name));
    }
    joined.push_back(join(catalog, std::move(of_one), width));
  }
  return joined;
}

// consolidated.00.pth and so on, none missing.
std::vector<std::string> piece_names(Files& files, const std::string& directory) {
  std::vector<std::string> names = files.list(directory);
  std::erase_if(names, [](const std::string& name) { return !is_meta_piece(name); });
  for (std::size_t i = 0; i < names.size(); ++i) {
    const std::string expected = fmt::format("{}{:02}{}", kPrefix, i, kSuffix);
    if (names[i] != expected) {
      fail("{}: missing: a piece of the checkpoint that {} belongs to",
           join_path(directory, expected), names[i]);
    }
  }
  return names;
}

}  // namespace

bool is_meta_piece(std::string_view name) {
  return name.size() == kPrefix.size() + 2 + kSuffix.size() && name.starts_with(kPrefix) &&
         name.ends_with(kSuffix);
}

bool detect_meta(Files& files, const std::string& path) {
  if (!is_directory(files, path)) return is_meta_piece(name_of(path));
  const std::vector<std::string> names = files.list(path);
  return std::any_of(names.begin(), names.end(), is_meta_piece);
}

Catalog open_meta(Files& files, const std::string& path) {
  const std::string directory = is_directory(files, path) ? path : directory_of(path);
  const std::string params_path = join_path(directory, "params.json");
  const nlohmann::json params = read_json_object(files, params_path);
  std::uint64_t width = 0;
  try {
    width = ConfigReader(params).whole("dim", 1, kMaxWidth);
  } catch (const Error& error) {
    fail("{}: {}", params_path, error.what());
  }
  Catalog catalog;
  catalog.format = "meta";
  catalog.path = path;
  catalog.metadata = nlohmann::json::object();
  for (const std::string& name : piece_names(files, directory)) {
    const std::string file_path = join_path(directory, name);
    add_header(catalog, file_path, read_torch_header(files, file_path));
  }
  catalog.tensors = join_all(catalog, std::move(catalog.tensors), width);
  catalog.finish(SharedBytes::Allowed);
  catalog.config = read_model_config(files, directory, catalog);
  return catalog;
}

}  // namespace initrt
