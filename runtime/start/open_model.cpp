#include "runtime/start/open_model.h"

#include "runtime/model/family.h"
#include "runtime/start/tied_tables.h"
#include "runtime/start/without_weights.h"
#include "sharding/checkpoint/checked_json.h"
#include "sharding/checkpoint/config/model_config.h"
#include "sharding/checkpoint/foreign_file.h"
#include "sharding/checkpoint/formats.h"
#include "sharding/checkpoint/no_model.h"
#include "sharding/checkpoint/note_choice.h"
#include "sharding/error.h"
#include "sharding/precision.h"
#include "sharding/quantization.h"

namespace initrt {
namespace {

// "dir" -> "dir/name", "file" -> "file".
std::string file_or_inside(Files& files, const std::string& path, std::string_view name) {
  return is_directory(files, path) ? join_path(path, name) : path;
}

nlohmann::json model_config(Files& files, const ModelOptions& options, const Catalog& catalog) {
  if (!options.config.empty()) {
    return text_model_config(
        read_json_object(files, file_or_inside(files, options.config, "config.json")));
  }
  if (catalog.config.is_null()) {
    fail("{}: no config.json beside the checkpoint; name one with \"model_config\"", options.path);
  }
  return catalog.config;
}

// The graph of the model's config, and which tensors of the catalog its own are.
void build(OpenModel& model, const Catalog& catalog, const ModelOptions& options) {
  try {
    model.graph = build_graph(model.config);
  } catch (const Error& error) {
    fail("{}: {}", options.config.empty() ? options.path : options.config, error.what());
  }
  model.bindings = bind(model.graph, catalog, options.all_names);
}

// A job's values have been checked; another program's have not.
Precision asked_precision(const ModelOptions& options) {
  if (const auto precision = precision_from_name(options.precision)) return *precision;
  fail("precision is {}, expected \"32-true\", \"bf16-true\" or \"16-true\"",
       quote(options.precision));
}

Quantization asked_quantization(const ModelOptions& options) {
  const auto method = quantize_method_from_name(options.quantize.method);
  if (!method) {
    fail(
        "quantize.method is {}, expected \"none\", \"llm.int8\", \"nf4\", \"fp4\", \"nf4-dq\", "
        "\"fp4-dq\" or \"stored\"",
        quote(options.quantize.method));
  }
  return {*method, options.quantize.skip, static_cast<float>(options.quantize.threshold)};
}

// Embedding and head as the tensors have them, and the layout.
void finish(Files& files, const ModelOptions& options, const std::function<void()>& alive,
            OpenModel& model) {
  if (has_shared_tables(model)) {  // held and read once
    model.config["tie_word_embeddings"] = true;
    build(model, model.catalog, options);
  } else if (model.warning = own_head(files, model, alive); !model.warning.empty()) {
    model.config["tie_word_embeddings"] = false;
    build(model, model.catalog, options);
  }
  model.layout = make_layout(
      model.graph, asked_precision(options),
      choose_holding(model.graph, model.bindings, model.catalog, asked_quantization(options)));
  const Bindings& bindings = model.bindings;
  if (!bindings.unexpected.empty()) {
    model.unused.push_back(describe_unexpected(bindings, options.all_names));
    if (options.strict) fail("{}: {} (load.strict)", options.path, model.unused.back());
  }
  if (!bindings.unused_quantization.empty()) {
    model.unused.push_back(describe_unused_quantization(bindings));
  }
}

// The format that is asked for, or "".
std::string wanted_format(const ModelOptions& options) {
  return options.format == "auto" ? "" : options.format;
}

}  // namespace

OpenModel open_model(Files& files, const ModelOptions& options,
                     const std::function<void()>& alive) {
  OpenModel model;
  // Of several checkpoints in a directory the first that holds the model's tensors.
  const auto check = [&](const Catalog& catalog) {
    if (const std::string what = describe_no_model(files, catalog); !what.empty()) {
      throw UnfitCheckpoint(fmt::format("{}: {}", options.path, what));
    }
    model.config = model_config(files, options, catalog);
    build(model, catalog, options);
  };
  if (!is_directory(files, options.path) && config_without_weights(files, options.path)) {
    fail("{}: no weights, a config alone: initrt plan and inspect take that, a run needs weights",
         options.path);
  }
  model.catalog = open_checkpoint(files, options.path, wanted_format(options), check);
  finish(files, options, alive, model);
  return model;
}

OpenModel open_model(Files& files, const ModelOptions& options, Catalog catalog) {
  OpenModel model;
  model.catalog = std::move(catalog);
  model.config = model_config(files, options, model.catalog);
  build(model, model.catalog, options);
  finish(files, options, {}, model);
  return model;
}

OpenModel open_model_or_config(Files& files, const ModelOptions& options) {
  if (wanted_format(options).empty()) {
    if (const auto config = config_without_weights(files, options.path)) {
      const DType silent = asked_precision(options).dtype;
      return open_model(files, options,
                        catalog_without_weights(files, options.path, *config, silent));
    }
  }
  return open_model(files, options);
}

void note_model(const OpenModel& model, const Notices& notices) {
  note_choice(model.catalog, notices);
  notices.warn(model.warning);
  for (const std::string& sentence : model.unused) notices.warn(sentence);
}

}  // namespace initrt
