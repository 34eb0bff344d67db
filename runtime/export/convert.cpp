#include "runtime/export/convert.h"

#include <algorithm>
#include <cmath>
#include <deque>
#include <filesystem>
#include <map>

#include "runtime/convert/decode.h"
#include "runtime/export/convert_texts.h"
#include "runtime/load/element_reader.h"
#include "runtime/start/open_model.h"
#include "runtime/storage/local_files.h"
#include "runtime/storage/output_file.h"
#include "sharding/checkpoint/checked_json.h"
#include "sharding/checkpoint/formats.h"
#include "sharding/checkpoint/names/hf_form.h"
#include "sharding/error.h"
#include "sharding/precision.h"

namespace initrt {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::uint64_t kMaxFileBytes = 5'000'000'000;
constexpr std::uint64_t kMinFiles = 4;  // so that several can be read at once

// One file of tensors to write.
struct TensorFile {
  std::string name;
  std::vector<HfTensor> tensors;
  std::uint64_t bytes = 0;
};

// What a tensor's elements are written as.
DType dtype_of(const Tensor& tensor, DType precision) {
  return tensor.float32 ? DType::F32 : precision;
}

std::vector<TensorFile> divide(std::vector<HfTensor> tensors, DType precision,
                               std::uint64_t most_bytes) {
  std::vector<TensorFile> files;
  for (HfTensor& tensor : tensors) {
    const std::uint64_t bytes =
        bytes_of(dtype_of(tensor.tensor, precision), tensor.tensor.elements());
    if (files.empty() || files.back().bytes + bytes > most_bytes) files.emplace_back();
    files.back().tensors.push_back(std::move(tensor));
    files.back().bytes += bytes;
  }
  for (std::size_t i = 0; i < files.size(); ++i) {
    files[i].name = fmt::format("model-{:05}-of-{:05}.safetensors", i + 1, files.size());
  }
  return files;
}

// What exists, a broken link too, is not to be lost.
void refuse_to_overwrite(const std::string& directory, const std::vector<std::string>& names) {
  for (const std::string& name : names) {
    const std::string path = join_path(directory, name);
    std::error_code error;
    if (std::filesystem::exists(std::filesystem::symlink_status(path, error))) {
      fail("{}: exists already, and convert overwrites nothing: name another directory", path);
    }
  }
}

std::string safetensors_header(const TensorFile& file, DType dtype) {
  Json header = {{"__metadata__", {{"format", "pt"}}}};
  std::uint64_t offset = 0;
  for (const auto& [tensor, shape, binding] : file.tensors) {
    const std::uint64_t end = offset + bytes_of(dtype_of(tensor, dtype), tensor.elements());
    header[tensor.name] = {{"dtype", name(dtype_of(tensor, dtype))},
                           {"shape", shape},
                           {"data_offsets", {offset, end}}};
    offset = end;
  }
  std::string text = header.dump();
  text.resize((text.size() + 7) / 8 * 8, ' ');  // tensors begin at a multiple of 8
  std::string length(8, '\0');
  for (std::size_t i = 0; i < 8; ++i) length[i] = static_cast<char>(text.size() >> 8 * i & 0xff);
  return length + text;
}

// Whether float16 value i of these is infinite.
bool is_infinite(std::span<const std::byte> halves, std::uint64_t i) {
  const auto bits = decode::load<std::uint16_t>(&halves[i * sizeof(std::uint16_t)]);
  return std::isinf(decode::from_f16(bits));
}

// What has become infinite in float16 and was not before is an error: no text comes out of it.
// @param begin the tensor's element that is first in `halves`
void refuse_overflow(const HfTensor& of, std::uint64_t begin, std::span<const std::byte> halves,
                     ElementReader& reader) {
  const std::uint64_t elements = halves.size() / sizeof(std::uint16_t);
  std::uint64_t i = 0;
  while (i < elements && !is_infinite(halves, i)) ++i;
  if (i == elements) return;
  std::vector<float> values(elements);
  reader.read(of.tensor, of.binding, begin, begin + elements, DType::F32,
              std::as_writable_bytes(std::span(values)));
  for (; i < elements; ++i) {
    if (!is_infinite(halves, i) || !std::isfinite(values[i])) continue;
    fail("{}: element {} is {}, and float16 ends at 65504: convert to bf16-true or 32-true",
         of.tensor.name, begin + i, values[i]);
  }
}

void write_tensors(const TensorFile& file, DType precision, ElementReader& reader,
                   OutputFile& output, std::uint64_t& done) {
  output.write(safetensors_header(file, precision));
  std::vector<std::byte> converted;
  for (const HfTensor& written : file.tensors) {
    const auto& [tensor, shape, binding] = written;
    const DType dtype = dtype_of(tensor, precision);
    const std::uint64_t at_once = reader.elements_at_once(binding, dtype);
    for (std::uint64_t begin = 0; begin < tensor.elements(); begin += at_once) {
      const std::uint64_t end = std::min(tensor.elements(), begin + at_once);
      converted.resize(bytes_of(dtype, end - begin));
      reader.read(tensor, binding, begin, end, dtype, converted);
      if (dtype == DType::F16) refuse_overflow(written, begin, converted, reader);
      output.write(converted);
      done += converted.size();
    }
  }
  output.close();
}

Json index_of(const std::vector<TensorFile>& files) {
  Json weight_map = Json::object();
  std::uint64_t bytes = 0;
  for (const TensorFile& file : files) {
    bytes += file.bytes;
    for (const HfTensor& tensor : file.tensors) weight_map[tensor.tensor.name] = file.name;
  }
  return {{"metadata", {{"total_size", bytes}}}, {"weight_map", weight_map}};
}

// Writes all, and then renames one by one, in the order given: config.json being last, what is left
// of a conversion that is interrupted is never taken for a checkpoint.
void write_directory(const ConvertOptions& options, const OpenModel& model,
                     const std::vector<TensorFile>& tensors, const std::vector<TextFile>& texts) {
  const std::string& directory = options.to;
  std::error_code error;
  std::filesystem::create_directories(directory, error);
  if (error) fail("{}: cannot be made: {}", directory, error.message());
  std::uint64_t total = 0, done = 0;
  for (const TensorFile& file : tensors) total += file.bytes;
  std::deque<OutputFile> written;
  ElementReader reader(model.catalog);
  for (const TensorFile& file : tensors) {
    OutputFile& output = written.emplace_back(join_path(directory, file.name));
    write_tensors(file, model.layout.dtype, reader, output, done);
    if (options.on_file) options.on_file(file.name, done, total);
  }
  for (const TextFile& file : texts) {
    OutputFile& output = written.emplace_back(join_path(directory, file.name));
    output.write(file.content);
    output.close();
  }
  for (OutputFile& output : written) output.commit();
}

// What a quantized model computes in by its config's own account; bf16 where it says nothing.
std::string precision_of_quantized(const Json& config) {
  for (const char* key : {"dtype", "torch_dtype"}) {
    const auto found = config.find(key);
    if (found == config.end() || !found->is_string()) continue;
    if (*found == "float16") return "16-true";
    if (*found == "float32") return "32-true";
  }
  return "bf16-true";
}

// What most of the model's bytes are, where that can be written as it is; else float32, which loses
// nothing.
std::string own_precision(const OpenModel& model) {
  if (std::ranges::any_of(model.bindings.tensors,
                          [](const Binding& binding) { return binding.quantized != nullptr; })) {
    return precision_of_quantized(model.config);
  }
  std::map<DType, std::uint64_t> bytes;
  for (const Binding& binding : model.bindings.tensors) {
    const TensorEntry& tensor = model.catalog.tensors[binding.runs.front().source];
    bytes[tensor.dtype] += tensor.bytes();
  }
  const DType most = std::max_element(bytes.begin(), bytes.end(), [](const auto& a, const auto& b) {
                       return a.second < b.second;
                     })->first;
  return most == DType::BF16 ? "bf16-true" : most == DType::F16 ? "16-true" : "32-true";
}

}  // namespace

void convert_to_safetensors(const ConvertOptions& options) {
  LocalFiles files;
  OpenModel model = open_model(files, options.model);
  const std::string precision =
      options.precision.empty() ? own_precision(model) : options.precision;
  model.layout = make_layout(model.graph, *precision_from_name(precision));
  note_model(model, options.notices);
  const DType dtype = model.layout.dtype;
  std::uint64_t total = 0;
  for (const Tensor& tensor : model.graph.tensors)
    total += bytes_of(dtype_of(tensor, dtype), tensor.elements());
  const std::uint64_t most_bytes =
      options.file_bytes > 0 ? options.file_bytes
                             : std::min(kMaxFileBytes, (total + kMinFiles - 1) / kMinFiles);
  const std::vector<TensorFile> tensors =
      divide(hf_tensors(model.graph, model.bindings), dtype, most_bytes);
  const std::vector<TextFile> texts = checkpoint_texts(files, options, model, index_of(tensors));

  std::vector<std::string> names = {"model.safetensors"};  // would hide the files of the index
  for (const TensorFile& file : tensors) names.push_back(file.name);
  for (const TextFile& file : texts) names.push_back(file.name);
  refuse_to_overwrite(options.to, names);
  write_directory(options, model, tensors, texts);
}

}  // namespace initrt
