#include "sharding/checkpoint/foreign_directory.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <tuple>
#include <vector>

#include "sharding/checkpoint/checked_json.h"
#include "sharding/checkpoint/foreign_file.h"
#include "sharding/checkpoint/formats.h"
#include "sharding/checkpoint/no_model.h"
#include "sharding/error.h"

namespace initrt {
namespace {

using Names = std::vector<std::string>;

constexpr std::size_t kMaxLookedAt = 64;  // directories below: more are no training job's
constexpr std::size_t kShown = 8;

std::string joined(const Names& names) {
  const std::size_t shown = std::min(names.size(), kShown);
  return fmt::format("{}{}", fmt::join(names.begin(), names.begin() + shown, ", "),
                     names.size() > shown ? fmt::format(" and {} more", names.size() - shown) : "");
}

bool ends_with_any(std::string_view name, std::span<const std::string_view> ends) {
  return std::any_of(ends.begin(), ends.end(),
                     [&](std::string_view end) { return name.ends_with(end); });
}

// A pointer or a page under the name of a checkpoint.
std::string foreign_file_in(Files& files, const std::string& path, const Names& names) {
  constexpr std::array<std::string_view, 3> kEnds = {".bin", ".pth", ".pt"};
  for (const std::string& name : names) {
    if (!ends_with_any(name, kEnds)) continue;
    const std::string what = describe_foreign_file(files, join_path(path, name));
    if (!what.empty()) return fmt::format("{} is {}", quote(name), what);
  }
  return "";
}

std::string partial_download_in(Files& files, const std::string& path, const Names& names) {
  // Where Hugging Face's program for downloads keeps what it has not finished.
  const std::string cache = join_path(path, ".cache/huggingface/download");
  Names all = names;
  if (is_directory(files, cache)) {
    for (const std::string& name : files.list(cache)) {
      all.push_back(".cache/huggingface/download/" + name);
    }
  }
  const auto found = std::find_if(all.begin(), all.end(), is_partial_download);
  if (found == all.end()) return "";
  return fmt::format("{} is an unfinished download: finish it, or download it again",
                     quote(*found));
}

// "checkpoint-500" comes before "checkpoint-1000".
bool by_number(const std::string& a, const std::string& b) {
  const auto key = [](const std::string& name) {
    std::size_t digits = name.size();
    while (digits > 0 && name[digits - 1] >= '0' && name[digits - 1] <= '9') --digits;
    std::uint64_t number = 0;
    std::from_chars(name.data() + digits, name.data() + name.size(), number);
    return std::tuple(name.substr(0, digits), number, name);
  };
  return key(a) < key(b);
}

bool holds_checkpoint(Files& files, const std::string& path) {
  try {
    return is_directory(files, path) &&
           std::any_of(formats().begin(), formats().end(), [&](const Format& format) {
             return !format.candidates(files, path).empty();
           });
  } catch (const Error&) {
    return false;  // it cannot be examined
  }
}

// Directories in `path` that hold checkpoints; in a cache of Hugging Face's, one level deeper.
Names checkpoints_below(Files& files, const std::string& path, const Names& names) {
  Names found;
  std::size_t looked_at = 0;
  const auto look = [&](const std::string& name) {
    if (++looked_at <= kMaxLookedAt && holds_checkpoint(files, join_path(path, name))) {
      found.push_back(name);
    }
  };
  for (const std::string& name : names) {
    if (name == "snapshots" && is_directory(files, join_path(path, name))) {
      for (const std::string& snapshot : files.list(join_path(path, name))) {
        look(join_path(name, snapshot));
      }
    } else if (!name.starts_with('.') && !name.starts_with("optimizer") &&
               is_directory(files, join_path(path, name))) {
      look(name);
    }
  }
  std::sort(found.begin(), found.end(), by_number);
  return found;
}

std::string models_below(Files& files, const std::string& path, const Names& names) {
  Names models, adapters;
  for (const std::string& name : checkpoints_below(files, path, names)) {
    const std::string below = join_path(path, name);
    (is_file(files, join_path(below, kAdapterConfig)) ? adapters : models).push_back(below);
  }
  if (models.size() == 1) {
    return fmt::format("the directory {} in it holds one: name that", models.front());
  }
  if (!models.empty()) {
    return fmt::format("directories in it hold some: name one of {}", joined(models));
  }
  if (adapters.empty()) return "";
  return fmt::format("{} is {}", adapters.back(), describe_adapter(files, adapters.back()));
}

std::string adapter_in(Files& files, const std::string& path, const Names& names) {
  if (std::find(names.begin(), names.end(), kAdapterConfig) == names.end()) return "";
  return "it is " + describe_adapter(files, path);
}

std::string deepspeed_in(Files&, const std::string&, const Names& names) {
  if (std::find(names.begin(), names.end(), "zero_to_fp32.py") == names.end()) return "";
  return "a DeepSpeed checkpoint, cut over the ranks of its job: \"python zero_to_fp32.py . OUT\" "
         "in "
         "it makes a model";
}

// What other programs write.
std::string other_framework_in(Files&, const std::string&, const Names& names) {
  struct Kind {
    std::string_view end, what;
  };
  constexpr std::array kKinds = {
      Kind{"tf_model.h5", "a TensorFlow checkpoint"},
      Kind{".h5", "a Keras checkpoint"},
      Kind{".keras", "a Keras checkpoint"},
      Kind{"saved_model.pb", "a TensorFlow SavedModel"},
      Kind{".ckpt.index", "a TensorFlow checkpoint"},
      Kind{".msgpack", "a Flax checkpoint"},
      Kind{"msgpack.index.json", "a Flax checkpoint"},
      Kind{"onnx", "an ONNX model"},
      Kind{".tflite", "a TensorFlow Lite model"},
      Kind{"openvino_model.xml", "an OpenVINO model"},
      Kind{".mlpackage", "a Core ML model"},
      Kind{".mlmodel", "a Core ML model"},
      Kind{".engine", "a TensorRT engine"},
      Kind{".nemo", "NeMo's archive"},
      Kind{".npz", "arrays of NumPy or MLX"},
      Kind{".llamafile", "a llamafile, which is a program with a GGUF file in it"},
      Kind{".ggml", "a GGML file from before GGUF"},
  };
  for (const Kind& kind : kKinds) {
    for (const std::string& name : names) {
      if (!name.ends_with(kind.end)) continue;
      return fmt::format(
          "{} is {}, which is not read: save the model as safetensors, or download it in that form",
          quote(name), kind.what);
    }
  }
  return "";
}

std::string training_state_in(Files&, const std::string&, const Names& names) {
  constexpr std::array<std::string_view, 6> kState = {
      "optimizer", "scheduler", "training_args", "rng_state", "random_states", "trainer_state"};
  for (const std::string& name : names) {
    if (std::any_of(kState.begin(), kState.end(),
                    [&](std::string_view start) { return name.starts_with(start); })) {
      return fmt::format(
          "it holds the state of a training job ({}), not its model: name the directory that the "
          "model was saved to",
          quote(name));
    }
  }
  return "";
}

// "model.SAFETENSORS": found by its path, whose content says what it is, but not by its name.
std::string other_case_in(Files& files, const std::string& path, const Names& names) {
  constexpr std::array<std::string_view, 5> kEnds = {".safetensors", ".gguf", ".bin", ".pth",
                                                     ".pt"};
  for (const std::string& name : names) {
    std::string lower = name;
    for (char& c : lower) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    if (ends_with_any(name, kEnds) || !ends_with_any(lower, kEnds)) continue;
    if (!may_be_a_file(files, path, name)) continue;
    return fmt::format(
        "{} is not looked for, as its name does not end in small letters: name it "
        "by its path",
        quote(name));
  }
  return "";
}

// Weights under a name that none is looked for by.
std::string named_otherwise_in(Files&, const std::string&, const Names& names) {
  constexpr std::array<std::string_view, 2> kEnds = {".ckpt", ".bin"};
  for (const std::string& name : names) {
    if (!ends_with_any(name, kEnds) || name.starts_with("training_args")) continue;
    return fmt::format("{} is not looked for by that name: if it is the model, name it by its path",
                       quote(name));
  }
  return "";
}

std::string weights_missing_in(Files&, const std::string&, const Names& names) {
  constexpr std::array<std::string_view, 3> kBeside = {"config.json", "tokenizer.json",
                                                       "params.json"};
  for (const std::string_view beside : kBeside) {
    if (std::find(names.begin(), names.end(), beside) == names.end()) continue;
    return fmt::format(
        "{} is there, but no weights: download those too (*.safetensors, *.bin, ...)", beside);
  }
  return "";
}

}  // namespace

std::string describe_foreign_directory(Files& files, const std::string& path) {
  const Names names = files.list(path);
  if (names.empty()) return "the directory is empty";
  constexpr std::array kLooks = {foreign_file_in,   partial_download_in, adapter_in,
                                 deepspeed_in,      models_below,        other_framework_in,
                                 training_state_in, other_case_in,       named_otherwise_in,
                                 weights_missing_in};
  for (const auto& look : kLooks) {
    std::string what = look(files, path, names);
    if (!what.empty()) return what;
  }
  return fmt::format(
      "a directory without *.safetensors, pytorch_model.bin, lit_model.pth, consolidated.00.pth, "
      ".metadata or *.gguf; it holds {}",
      joined(names));
}

}  // namespace initrt
