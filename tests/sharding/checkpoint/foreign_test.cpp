// What stands where a checkpoint should, and the line that says so.
#include <gtest/gtest.h>

#include "sharding/checkpoint/catalog.h"
#include "sharding/checkpoint/checked_json.h"
#include "sharding/checkpoint/foreign_file.h"
#include "sharding/checkpoint/no_model.h"
#include "tests/sharding/checkpoint/header_writers.h"
#include "tests/sharding/checkpoint/scalars.h"
#include "tests/sharding/errors.h"
#include "tests/sharding/memory_files.h"

namespace initrt {
namespace {

using testing::error_of;
using testing::GgufWriter;
using testing::MemoryFiles;
using testing::scalars;

const std::string kPointer =
    "version https://git-lfs.github.com/spec/v1\noid sha256:" + std::string(64, 'a') +
    "\nsize 137936\n";
const std::string kPointerLine =
    "a Git LFS pointer, not the file itself, which has 137936 bytes: fetch it with \"git lfs "
    "pull\" in its repository, or download it again";
const std::string kPage = "<!DOCTYPE html>\n<html><head><title>Sign in</title></head></html>";
const std::string kPageLine =
    "an HTML page (\"Sign in\"), not the file itself: download it again from the address of the "
    "file (a login or an accepted licence may be asked for)";

std::string error_at(MemoryFiles& files, const std::string& path) {
  return error_of([&] { (void)open_checkpoint(files, path); });
}

TEST(ForeignFile, IsToldByItsBeginning) {
  EXPECT_EQ(describe_foreign(kPointer), kPointerLine);
  EXPECT_EQ(describe_foreign(kPage), kPageLine);
  EXPECT_EQ(describe_foreign("\xef\xbb\xbf \r\n\t" + kPage), kPageLine);
  EXPECT_TRUE(describe_foreign("<HTML lang=en>").starts_with("an HTML page, not"));
  EXPECT_EQ(describe_foreign("<?xml version=\"1.0\"?>\n<Error><Code>AccessDenied</Code></Error>"),
            "an XML answer of a server (\"AccessDenied\"), not the file itself: download it again");
  EXPECT_TRUE(describe_foreign("<?xml version='1.0'?><html>").starts_with("an HTML page, not"));
  EXPECT_EQ(describe_foreign("Entry not found"),
            "a server's answer (\"Entry not found\"), not the file itself: download it again");
  for (const char* other :
       {"", " ", "{}", "GGUF", "<net name=\"x\">", "version 1", "\xef\xbb\xbf"}) {
    EXPECT_EQ(describe_foreign(other), "") << other;
  }
}

TEST(ForeignFile, HostileTextStaysOnOneLine) {
  const std::string line =
      describe_foreign("<html><title>a\n\x1b[31m" + std::string(900, 'x') + "</title>");
  EXPECT_TRUE(testing::is_one_line(line)) << line;
  EXPECT_LT(line.size(), 500u);
}

TEST(ForeignFile, UnderTheNameOfACheckpointIsAnErrorThatSaysSo) {
  for (const char* name :
       {"model.safetensors", "model-00001-of-00001.safetensors", "pytorch_model.bin", "model.bin",
        "consolidated.00.pth", "lit_model.pth", "model.gguf", "model.pt", ".metadata"}) {
    for (const auto& [content, line] : {std::pair(kPointer, kPointerLine), {kPage, kPageLine}}) {
      MemoryFiles files;
      files.content[std::string("d/") + name] = content;
      files.content["d/params.json"] = R"({"dim": 8})";
      for (const std::string& path : {std::string("d"), std::string("d/") + name}) {
        const std::string text = error_at(files, path);
        EXPECT_NE(text.find(line), std::string::npos) << path << ' ' << name << ": " << text;
        EXPECT_NE(text.find(name), std::string::npos) << text;
      }
    }
  }
}

TEST(ForeignFile, OfAnotherKindThanItsNameSaysIsCalledByItsKind) {
  const auto says = [](const char* name, std::string content, const char* what) {
    MemoryFiles files;
    files.content[std::string("d/") + name] = content + std::string(600, '\0');
    const std::string text = error_of([&] { (void)open_checkpoint(files, "d"); });
    EXPECT_NE(text.find(what), std::string::npos) << text;
  };
  says("model.safetensors", "PK\x03\x04 and so on", "not safetensors but a zip archive");
  says("model.safetensors", "GGUF\x03\0\0\x01", "not safetensors but GGUF");
  says("model.safetensors", "\x1f\x8b\x08\x08 and so on", "not safetensors but gzip");
  says("pytorch_model.bin", std::string("\x20\0\0\0\0\0\0\0{\"a\"", 12),
       "but safetensors, by its first bytes");
}

TEST(ForeignFile, InPlaceOfAJsonFileIsAnErrorThatSaysSo) {
  for (const char* name : {"config.json", "tokenizer.json", "generation_config.json"}) {
    MemoryFiles files;
    files.content[name] = kPointer;
    EXPECT_EQ(error_of([&] { (void)read_json_object(files, name); }), name + (": " + kPointerLine));
    files.content[name] = kPage;
    EXPECT_EQ(error_of([&] { (void)read_json_object(files, name); }), name + (": " + kPageLine));
  }
  MemoryFiles files;
  files.content["d/model.safetensors"] = scalars({"a"});
  files.content["d/config.json"] = kPointer;
  EXPECT_EQ(error_at(files, "d"), "d/config.json: " + kPointerLine);
  files.content.erase("d/model.safetensors");
  files.content["d/config.json"] = "{}";
  files.content["d/model.safetensors.index.json"] = kPointer;
  EXPECT_EQ(error_at(files, "d"), "d/model.safetensors.index.json: " + kPointerLine);
}

/// The error of a directory with these files.
std::string error_of_directory(const std::vector<std::string>& names) {
  MemoryFiles files;
  for (const std::string& name : names) {
    files.content["d/" + name] = name.ends_with(".safetensors") ? scalars({"a"}) : "{}";
  }
  return error_at(files, "d");
}

TEST(ForeignDirectory, ModelsOneLevelDownAreNamed) {
  EXPECT_EQ(error_of_directory({"training_args.bin", "checkpoint-500/model.safetensors"}),
            "d: no checkpoint of a known format: the directory d/checkpoint-500 in it holds one: "
            "name that");
  EXPECT_EQ(error_of_directory({"checkpoint-1000/model.safetensors", "runs/x",
                                "checkpoint-500/model.safetensors", "final/model.safetensors",
                                "optimizer_0/model.safetensors"}),
            "d: no checkpoint of a known format: directories in it hold some: name one of "
            "d/checkpoint-500, d/checkpoint-1000, d/final");
  EXPECT_EQ(error_of_directory({"refs/main", "blobs/0", "snapshots/abc/model.safetensors"}),
            "d: no checkpoint of a known format: the directory d/snapshots/abc in it holds one: "
            "name that");
}

TEST(ForeignDirectory, AnAdaptersBaseModelIsNamed) {
  MemoryFiles files;
  files.content["d/adapter_config.json"] =
      R"({"peft_type": "LORA", "base_model_name_or_path": "org/base"})";
  const std::string line =
      "an adapter (LORA) of the model \"org/base\", not a model: merge it into that model (in "
      "PEFT: merge_and_unload(), then save_pretrained()) and name the directory of the result";
  EXPECT_EQ(error_at(files, "d"), "d: no checkpoint of a known format: it is " + line);
  // One that is a checkpoint by its form is opened, for inspect; what asks for a model refuses it.
  files.content["d/adapter_model.safetensors"] = scalars(
      {"base_model.model.layers.0.q_proj.lora_A.weight",
       "base_model.model.layers.0.q_proj.lora_B.weight", "base_model.model.lm_head.weight"});
  EXPECT_EQ(describe_no_model(files, open_checkpoint(files, "d")), line);
  files.content["e/checkpoint-5/adapter_config.json"] = files.content["d/adapter_config.json"];
  files.content["e/checkpoint-5/adapter_model.safetensors"] = scalars({"x"});
  EXPECT_EQ(error_at(files, "e"), "e: no checkpoint of a known format: e/checkpoint-5 is " + line);
  // Beside a model it is left alone.
  files.content["d/model.safetensors"] = scalars({"w"});
  const Catalog model = open_checkpoint(files, "d");
  EXPECT_EQ(describe_no_model(files, model), "");
  EXPECT_EQ(
      model.choice,
      "d holds several checkpoints: reading model.safetensors, not adapter_model.safetensors");
}

TEST(ForeignDirectory, OtherFrameworksAndLeftoversAreCalledByTheirNames) {
  const auto says = [](const std::vector<std::string>& names, const char* what) {
    const std::string text = error_of_directory(names);
    EXPECT_NE(text.find(what), std::string::npos) << text;
  };
  says({"tf_model.h5", "config.json"}, "\"tf_model.h5\" is a TensorFlow checkpoint, which is not");
  says({"flax_model.msgpack"}, "\"flax_model.msgpack\" is a Flax checkpoint");
  says({"model.onnx", "tokenizer.json"}, "\"model.onnx\" is an ONNX model");
  says({"model.keras"}, "a Keras checkpoint");
  says({"optimizer.pt", "trainer_state.json"}, "the state of a training job (\"optimizer.pt\")");
  says({"model.safetensors.incomplete"},
       "\"model.safetensors.incomplete\" is an unfinished download: finish it, or download it");
  says({"config.json", ".cache/huggingface/download/ab.incomplete"},
       "\".cache/huggingface/download/ab.incomplete\" is an unfinished download");
  says({"config.json", "onnx/model.onnx"}, "\"onnx\" is an ONNX model");
  says({"pytorch_model.bin.part"}, "is an unfinished download");
  says({"config.json", "tokenizer.json"}, "config.json is there, but no weights");
  says({"zero_to_fp32.py", "global_step500/x"}, "a DeepSpeed checkpoint");
  says({"last.ckpt", "config.json"}, "\"last.ckpt\" is not looked for by that name: if it is the");
  says({"model.q4_0.bin", "config.json"}, "\"model.q4_0.bin\" is not looked for by that name");
  says({"model.nemo"}, "\"model.nemo\" is NeMo's archive");
  says({"notes.txt"}, "a directory without *.safetensors");
}

TEST(ForeignDirectory, AVisionProjectorIsNotTheModel) {
  MemoryFiles files;
  const std::string projector = GgufWriter().text("general.architecture", "clip").file(0);
  files.content["d/a-mmproj.gguf"] = projector;
  const char* line =
      "a vision projector (mmproj), not a model: name the GGUF file of the model of text that it "
      "belongs to";
  EXPECT_EQ(describe_no_model(files, open_checkpoint(files, "d")), line);
  EXPECT_EQ(describe_no_model(files, open_checkpoint(files, "d/a-mmproj.gguf")), line);
  files.content["d/model.gguf"] = GgufWriter().file(0);
  const Catalog model = open_checkpoint(files, "d");
  EXPECT_EQ(model.files[0].path, "d/model.gguf");
  ASSERT_EQ(model.notes.size(), 1u);
  EXPECT_EQ(model.notes[0], "d: reading model.gguf, not a-mmproj.gguf, which is no model of text");
  files.content["d/model-Q8_0.gguf"] = GgufWriter().file(0);
  EXPECT_EQ(error_at(files, "d"),
            "d: several GGUF models, name the file of one: model-Q8_0.gguf, model.gguf");
}

TEST(NoModel, AnAdapterInsideAModelIsSaidToBeThere) {
  MemoryFiles files;
  files.content["d/model.safetensors"] =
      scalars({"a.q_proj.base_layer.weight", "a.k_proj.weight", "a.q_proj.lora_A.default.weight"});
  EXPECT_TRUE(describe_no_model(files, open_checkpoint(files, "d"))
                  .starts_with("a model with an adapter (LoRA) that is not merged"));
}

TEST(NoModel, MatricesThatMlxPackedAreSaidToBeSo) {
  MemoryFiles files;
  files.content["d/config.json"] = R"({"quantization": {"bits": 4, "group_size": 32}})";
  files.content["d/model.safetensors"] = testing::safetensors_file(
      R"({"q.weight": {"dtype": "U32", "shape": [1], "data_offsets": [0, 4]},
          "q.scales": {"dtype": "F16", "shape": [1], "data_offsets": [4, 6]},
          "q.biases": {"dtype": "F16", "shape": [1], "data_offsets": [6, 8]}})",
      8);
  EXPECT_EQ(
      describe_no_model(files, open_checkpoint(files, "d")),
      "a model that mlx-lm quantized to 4 bits, which is not read: name the model that it was "
      "made of, or a GGUF file of it");
  // Its other modes have no biases.
  files.content["d/model.safetensors"] = testing::safetensors_file(
      R"({"q.weight": {"dtype": "U32", "shape": [1], "data_offsets": [0, 4]},
          "q.scales": {"dtype": "U8", "shape": [1], "data_offsets": [4, 5]}})",
      5);
  EXPECT_TRUE(describe_no_model(files, open_checkpoint(files, "d"))
                  .starts_with("a model that mlx-lm quantized to 4 bits"));
  files.content["d/model.safetensors"] = scalars({"q.weight", "q.scales", "q.biases"});
  EXPECT_EQ(describe_no_model(files, open_checkpoint(files, "d")), "");
}

}  // namespace
}  // namespace initrt
