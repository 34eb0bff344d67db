// The table of keys, and the schema made of it.
#include <array>
#include <limits>

#include "launch/job/job.h"
#include "sharding/checkpoint/catalog.h"
#include "sharding/overload.h"
#include "sharding/precision.h"
#include "sharding/reads.h"

namespace initrt {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::uint64_t kAny = std::numeric_limits<std::uint64_t>::max();

Json schema_of(const JobKey& key, Job& defaults) {
  Json schema = std::visit(
      Overload{
          [&](const JobKey::Text& kind) {
            Json text = {{"type", "string"}, {"default", kind.field(defaults)}};
            if (!kind.choices.empty()) text["enum"] = kind.choices;
            if (kind.field(defaults).empty()) text.erase("default");
            return text;
          },
          [](const JobKey::Path&) {
            return Json{{"type", "string"}, {"minLength", 1}};
          },
          [&](const JobKey::Whole& kind) {
            Json whole = {{"type", "integer"}, {"minimum", kind.least}};
            if (kind.most != kAny) whole["maximum"] = kind.most;
            whole["default"] = kind.field(defaults);
            return whole;
          },
          [&](const JobKey::Bytes& kind) {
            return Json{{"type", Json::array({"integer", "string"})},
                        {"minimum", kind.least},
                        {"pattern", "^[0-9]+(\\.[0-9]+)?([KMGT](iB|B)?|B)?$"},
                        {"default", kind.field(defaults)}};
          },
          [&](const JobKey::Number& kind) {
            Json number = {{"type", "number"},
                           {kind.above_least ? "exclusiveMinimum" : "minimum", kind.least}};
            number["maximum"] = kind.most;
            number["default"] = kind.field(defaults);
            return number;
          },
          [&](const JobKey::Flag& kind) {
            return Json{{"type", "boolean"}, {"default", kind.field(defaults)}};
          },
          [](const JobKey::TextList&) {
            return Json{{"type", Json::array({"array", "string"})},
                        {"items", {{"type", "string"}, {"minLength", 1}}},
                        {"minLength", 1}};
          },
          [](const JobKey::PromptList&) {
            return Json{{"type", Json::array({"array", "string"})},
                        {"items", {{"type", "string"}}},
                        {"minItems", 1},
                        {"minLength", 1}};
          },
          [](const JobKey::MessageList&) {
            const Json content = {{"type", Json::array({"string", "array", "object", "null"})}};
            const Json properties = {{"role", {{"type", "string"}, {"minLength", 1}}},
                                     {"content", content},
                                     {"tool_calls", {{"type", "array"}}}};
            return Json{{"type", "array"},
                        {"items",
                         {{"type", "object"},
                          {"required", Json::array({"role"})},
                          {"properties", properties}}},
                        {"minItems", 1}};
          },
          [](const JobKey::ToolList&) {
            return Json{{"type", Json::array({"array", "null"})}, {"items", {{"type", "object"}}}};
          },
          [](const JobKey::Object&) {
            return Json{{"type", "object"}};
          },
      },
      key.kind);
  schema["description"] = key.about;
  return schema;
}

std::vector<std::string_view> format_choices() {
  std::vector<std::string_view> names = {"auto"};
  for (const Format& format : formats()) names.push_back(format.name);
  return names;
}

}  // namespace

std::span<const JobKey> job_keys() {
  static const std::array keys = std::to_array<JobKey>({
      {"model", "Checkpoint: a file or a directory, of any of the formats below",
       JobKey::Path{[](Job& job) -> std::string& { return job.model.path; }}},
      {"format",
       "Which checkpoint to read where a directory holds several; auto: the first of these",
       JobKey::Text{[](Job& job) -> std::string& { return job.model.format; }, format_choices()}},
      {"tokenizer",
       "tokenizer.json or .model, tekken.json, tiktoken.model, vocab.json with merges.txt, "
       "vocab.txt, "
       "or its directory; default: the checkpoint's own",
       JobKey::Path{[](Job& job) -> std::string& { return job.model.tokenizer; }}},
      {"model_config", "config.json of the model; default: what the checkpoint carries",
       JobKey::Path{[](Job& job) -> std::string& { return job.model.config; }}},
      {"precision", "What the weights and the KV cache are held in",
       JobKey::Text{[](Job& job) -> std::string& { return job.model.precision; },
                    {"32-true", "bf16-true", "16-true"}}},
      {"quantize.method",
       "What the matrices of blocks are quantized to while they stream: llm.int8 (8 bit), nf4 or "
       "fp4 (4 bit, blocks of 64), -dq: their scales in 8 bit; stored: GGUF's blocks stay as they "
       "are in the file. \"quantize\": \"nf4\" is short for it",
       JobKey::Text{[](Job& job) -> std::string& { return job.model.quantize.method; },
                    {"none", "llm.int8", "nf4", "fp4", "nf4-dq", "fp4-dq", "stored"}}},
      {"quantize.skip",
       "Modules whose matrices stay in the precision, such as down_proj or layers.0.self_attn",
       JobKey::TextList{
           [](Job& job) -> std::vector<std::string>& { return job.model.quantize.skip; }}},
      {"quantize.threshold",
       "llm.int8: inputs of at least this magnitude are multiplied in the precision, not in 8 bit; "
       "0: none",
       JobKey::Number{[](Job& job) -> double& { return job.model.quantize.threshold; }, 0.0, 1e30,
                      false}},
      {"device", "Where a rank computes",
       JobKey::Text{[](Job& job) -> std::string& { return job.machine.device; },
                    {"auto", "cpu", "cuda"}}},
      {"threads", "Compute threads of each rank; 0: its share of the cores it may use",
       JobKey::Whole{[](Job& job) -> std::uint64_t& { return job.machine.threads; }, 0, 4096}},
      {"timeout", "Seconds without progress of any rank after which the job ends",
       JobKey::Whole{[](Job& job) -> std::uint64_t& { return job.timeout; }, 1, 86400}},

      {"placement.share_gpu", "Several ranks may compute on one GPU; without it that is an error",
       JobKey::Flag{[](Job& job) -> bool& { return job.machine.share_gpu; }}},

      {"cuda.tf32",
       "Products of 32-bit matrices on GPUs may round their inputs to TF32: faster, not float32",
       JobKey::Flag{[](Job& job) -> bool& { return job.machine.tf32; }}},

      {"speeds.link",
       "Bytes a second that a rank receives from others: with it sharding.move=auto compares "
       "times, "
       "and plan predicts them; 0: not known",
       JobKey::Number{[](Job& job) -> double& { return job.shape.speeds.link; }, 0.0, 1e18, false}},
      {"speeds.latency", "Seconds of an exchange of a few bytes between all ranks",
       JobKey::Number{[](Job& job) -> double& { return job.shape.speeds.latency; }, 0.0, 1.0,
                      false}},
      {"speeds.memory",
       "Bytes a second that a rank reads weights with from its memory; 0: not known",
       JobKey::Number{[](Job& job) -> double& { return job.shape.speeds.memory; }, 0.0, 1e18,
                      false}},
      {"speeds.compute",
       "Operations a second of a rank's matrix products, a multiplication and an addition being "
       "two; 0: not known",
       JobKey::Number{[](Job& job) -> double& { return job.shape.speeds.compute; }, 0.0, 1e21,
                      false}},

      {"sharding.strategy", "full_shard: every rank owns one chunk of every unit",
       JobKey::Text{[](Job& job) -> std::string& { return job.strategy; }, {"full_shard"}}},
      {"sharding.move",
       "What moves in a sweep: the weights, gathered on demand, or the activations, to the ranks "
       "that hold the weights. auto: whichever is fewer bytes, or with speeds.link takes less time",
       JobKey::Text{[](Job& job) -> std::string& { return job.shape.move; },
                    {"auto", "weights", "activations"}}},
      {"sharding.prefetch", "Units gathered ahead of the one in use",
       JobKey::Whole{[](Job& job) -> std::uint64_t& { return job.shape.prefetch; }, 0, 64}},
      {"sharding.communicator",
       "mapped: ranks of one node share memory; mpi: any nodes; nccl: a GPU each; self: one rank; "
       "auto: the first that fits of self, nccl, mapped, mpi",
       JobKey::Text{[](Job& job) -> std::string& { return job.machine.communicator; },
                    {"auto", "self", "mapped", "mpi", "nccl"}}},

      {"load.staging",
       "Size of each rank's staging ring, which reads go through; more than 64MiB is not used",
       JobKey::Bytes{[](Job& job) -> std::uint64_t& { return job.shape.staging; },
                     kMinStagingBytes}},
      {"load.gpu_direct",
       "auto: where the machine has GPUDirect Storage, files are read straight into GPUs' memory; "
       "off: through the host's",
       JobKey::Text{[](Job& job) -> std::string& { return job.machine.gpu_direct; },
                    {"auto", "off"}}},
      {"load.strict", "Tensors of the checkpoint that the model does not use are an error",
       JobKey::Flag{[](Job& job) -> bool& { return job.model.strict; }}},

      {"memory.budget",
       "Bytes each rank may use: as many units as fit stay gathered; 0: none beyond the slots",
       JobKey::Bytes{[](Job& job) -> std::uint64_t& { return job.shape.budget; }, 0}},

      {"generate.prompt",
       "One prompt; the answer is streamed to standard output; an empty one where the tokenizer "
       "begins every text with a token (BOS)",
       JobKey::Text{[](Job& job) -> std::string& {
                      auto& prompt = job.generate.prompt;
                      return prompt ? *prompt : prompt.emplace();
                    },
                    {}}},
      {"generate.prompts",
       "Several prompts, or a JSONL file of them, - for standard input (strings, or objects with "
       "\"prompt\" or \"messages\", perhaps an \"id\", and keys of generate that are the line's "
       "own); "
       "results are JSONL in the same order",
       JobKey::PromptList{[](Job& job) -> Job::Prompts& { return job.generate.prompts; }}},
      {"generate.output",
       "File that results are added to as JSONL, each line once it and those before it are there; "
       "a "
       "restart goes on after what it holds",
       JobKey::Path{[](Job& job) -> std::string& { return job.generate.output; }}},
      {"generate.part",
       "K/N: of N parts of the prompts the K-th, counted from 0, for jobs that share a file of "
       "them; their results one after the other are those of the whole",
       JobKey::Text{[](Job& job) -> std::string& { return job.generate.part; }, {}}},
      {"generate.messages",
       "A conversation that the model's chat template makes a prompt of; only the answer is shown",
       JobKey::MessageList{
           [](Job& job) -> nlohmann::ordered_json& { return job.generate.messages; }}},
      {"generate.chat", "Each prompt is a user's message to a chat model; only answers are shown",
       JobKey::Flag{[](Job& job) -> bool& { return job.generate.chat; }}},
      {"generate.system", "System message of conversations that begin without one",
       JobKey::Text{[](Job& job) -> std::string& { return job.generate.system; }, {}}},
      {"generate.tools", "Tools that conversations offer the model: a list of their JSON schemas",
       JobKey::ToolList{[](Job& job) -> nlohmann::ordered_json& { return job.generate.tools; }}},
      {"generate.chat_template",
       "A file, or the name of one of the model's own templates; default: the model's, with tools "
       "the one named tool_use where there is one",
       JobKey::Path{[](Job& job) -> std::string& { return job.chat_template.name; }}},
      {"generate.chat_template_kwargs",
       "More variables of the chat template, such as {\"enable_thinking\": false}",
       JobKey::Object{
           [](Job& job) -> nlohmann::ordered_json& { return job.chat_template.arguments; }}},
      {"generate.date",
       "What chat templates take for today, as 2025-01-31 or 2025-01-31 13:05; without it they see "
       "no clock",
       JobKey::Text{[](Job& job) -> std::string& { return job.chat_template.date; }, {}}},
      {"generate.max_new_tokens", "Most tokens generated for a prompt",
       JobKey::Whole{[](Job& job) -> std::uint64_t& { return job.generate.max_new_tokens; }, 1,
                     kMaxPositions}},
      {"generate.temperature", "Softmax temperature; 0: greedy",
       JobKey::Number{[](Job& job) -> double& { return job.generate.temperature; }, 0.0, 1000.0,
                      false}},
      {"generate.top_k", "Choose among this many of the likeliest tokens; 0: all",
       JobKey::Whole{[](Job& job) -> std::uint64_t& { return job.generate.top_k; }, 0,
                     std::numeric_limits<int>::max()}},
      {"generate.top_p", "Choose among the likeliest tokens with this much probability together",
       JobKey::Number{[](Job& job) -> double& { return job.generate.top_p; }, 0.0, 1.0, true}},
      {"generate.min_p",
       "Choose among tokens with this much of the likeliest one's probability, after the "
       "temperature; 0: all",
       JobKey::Number{[](Job& job) -> double& { return job.generate.min_p; }, 0.0, 1.0, false}},
      {"generate.repetition_penalty",
       "Divides logits above 0 of tokens in the prompt or the answer, multiplies those below; in "
       "greedy choice too; 1: none",
       JobKey::Number{[](Job& job) -> double& { return job.generate.repetition_penalty; }, 0.0,
                      1000.0, true}},
      {"generate.seed", "The same seed gives the same text, on any number of ranks",
       JobKey::Whole{[](Job& job) -> std::uint64_t& { return job.generate.seed; }, 0, kAny}},
      {"generate.context", "Positions of the KV cache; 0: the longest prompt and max_new_tokens",
       JobKey::Whole{[](Job& job) -> std::uint64_t& { return job.shape.context; }, 0,
                     kMaxPositions}},
      {"generate.batch", "Most prompts that a rank runs at once",
       JobKey::Whole{[](Job& job) -> std::uint64_t& { return job.shape.batch; }, 1, 4096}},
      {"generate.ignore_eos", "Generate max_new_tokens even past the model's end tokens",
       JobKey::Flag{[](Job& job) -> bool& { return job.generate.ignore_eos; }}},
      {"generate.stop",
       "A string, or a list of them: an answer ends as soon as its text holds one, and is cut "
       "before it",
       JobKey::TextList{[](Job& job) -> std::vector<std::string>& { return job.generate.stop; }}},
      {"generate.logprobs",
       "For each token its log-probability and those of this many likeliest ones, of the model's "
       "own distribution (before penalty, temperature and filters); one prompt is then answered as "
       "JSONL too; 0: none",
       JobKey::Whole{[](Job& job) -> std::uint64_t& { return job.generate.logprobs; }, 0, 100}},
      {"generate.prefill_chunk", "Most prompt tokens that one sweep takes in",
       JobKey::Whole{[](Job& job) -> std::uint64_t& { return job.shape.prefill_chunk; }, 1, 65536}},
  });
  return keys;
}

nlohmann::ordered_json job_schema() {
  Json schema = {{"$schema", "https://json-schema.org/draft/2020-12/schema"},
                 {"title", "initrt job"},
                 {"type", "object"},
                 {"additionalProperties", false},
                 {"required", Json::array({"model"})},
                 {"properties", {{"$schema", {{"type", "string"}}}}}};
  Job defaults;
  for (const JobKey& key : job_keys()) {
    const std::size_t dot = key.path.find('.');
    Json* properties = &schema["properties"];
    if (dot != std::string_view::npos) {
      Json& group = (*properties)[std::string(key.path.substr(0, dot))];
      if (group.is_null()) {
        group = {
            {"type", "object"}, {"additionalProperties", false}, {"properties", Json::object()}};
      }
      properties = &group["properties"];
    }
    const std::size_t begin = dot == std::string_view::npos ? 0 : dot + 1;
    (*properties)[std::string(key.path.substr(begin))] = schema_of(key, defaults);
  }
  for (auto& [name, group] : schema["properties"].items()) {
    if (short_key(name) == nullptr) continue;
    group = {{"anyOf", Json::array({group["properties"]["method"], group})}};
  }
  return schema;
}

}  // namespace initrt
