#include "tests/golden/family_gguf.h"

#include <nlohmann/json.hpp>
#include <tuple>

#include "sharding/error.h"
#include "tests/golden/family_checkpoint.h"
#include "tests/sharding/checkpoint/header_writers.h"
#include "tests/support/process.h"
#include "tests/support/safetensors_writer.h"

namespace initrt::testing {
namespace {

using Json = nlohmann::json;
using Rows = std::vector<std::vector<float>>;

// A tensor's rows, of its last dimension; those of a vector are its elements.
Rows rows_of(const FamilyTensor& tensor, bool transposed) {
  const std::uint64_t columns = tensor.shape.size() == 1 ? 1 : tensor.shape.back();
  const std::uint64_t rows = tensor.values.size() / columns;
  Rows out(transposed ? columns : rows);
  for (std::uint64_t i = 0; i < tensor.values.size(); ++i) {
    out[transposed ? i % columns : i / columns].push_back(tensor.values[i]);
  }
  return out;
}

// A tensor by its name, or "NAME[I]": matrix I of one that is several.
FamilyTensor tensor_named(const std::map<std::string, FamilyTensor>& tensors,
                          const std::string& name) {
  const std::size_t bracket = name.rfind('[');
  if (bracket == std::string::npos) return tensors.at(name);
  const FamilyTensor& all = tensors.at(name.substr(0, bracket));
  const auto size = static_cast<std::ptrdiff_t>(all.shape[1] * all.shape[2]);
  const auto begin = all.values.begin() + std::stol(name.substr(bracket + 1)) * size;
  return {{all.shape[1], all.shape[2]}, {begin, begin + size}};
}

// Of each head, its first half's rows and its second's in turns.
Rows interleaved(const Rows& rows, std::uint64_t heads) {
  const std::uint64_t head = rows.size() / heads, half = head / 2;
  Rows out(rows.size());
  for (std::uint64_t row = 0; row < rows.size(); ++row) {
    const std::uint64_t in_head = row % head;
    out[row - in_head + 2 * (in_head % half) + in_head / half] = rows[row];
  }
  return out;
}

Rows transposed(const Rows& rows) {
  Rows out(rows.empty() ? 0 : rows.front().size());
  for (const std::vector<float>& row : rows) {
    for (std::size_t column = 0; column < out.size(); ++column) out[column].push_back(row[column]);
  }
  return out;
}

std::vector<float> make(const Json& about, const std::map<std::string, FamilyTensor>& tensors) {
  if (about.contains("values")) return about.at("values").get<std::vector<float>>();
  using Part = std::tuple<std::string, std::ptrdiff_t, std::ptrdiff_t, std::uint64_t>;
  Rows rows;
  for (const auto& [name, first, count, heads] : about.at("of").get<std::vector<Part>>()) {
    const Rows source = rows_of(tensor_named(tensors, name), about.value("transposed", false));
    const Rows part(source.begin() + first, source.begin() + first + count);
    const Rows stored = heads > 0 ? interleaved(part, heads) : part;
    rows.insert(rows.end(), stored.begin(), stored.end());
  }
  if (about.value("columns", false)) rows = transposed(rows);
  const float add = about.value("add", 0.0f);
  std::vector<float> values;
  for (const std::vector<float>& row : rows) {
    for (const float value : row) values.push_back(value + add);
  }
  return values;
}

void add_pair(GgufWriter& writer, const std::string& key, const std::string& type,
              const Json& value) {
  if (type == "STRING") {
    writer.text(key, value.get<std::string>());
  } else if (type == "UINT32") {
    writer.u32(key, value.get<std::uint32_t>());
  } else if (type == "FLOAT32") {
    writer.pair(key, kF32, raw(value.get<float>()));
  } else if (type == "BOOL") {
    writer.pair(key, kBool, raw(static_cast<std::uint8_t>(value.get<bool>())));
  } else if (type == "COUNTS") {
    std::string counts = raw<std::uint32_t>(kI32) + raw<std::uint64_t>(value.size());
    for (const std::int32_t count : value.get<std::vector<std::int32_t>>()) counts += raw(count);
    writer.pair(key, kArray, counts);
  } else if (type == "FLAGS") {
    std::string flags = raw<std::uint32_t>(kBool) + raw<std::uint64_t>(value.size());
    for (const bool flag : value.get<std::vector<bool>>()) flags += static_cast<char>(flag);
    writer.pair(key, kArray, flags);
  } else {
    fail("{}: GGUF values of {} are not written", key, type);
  }
}

}  // namespace

void write_family_gguf(const std::string& family, const std::string& recipe_name,
                       const std::string& path) {
  const auto tensors = family_tensors(family + "/tensors.json");
  const Json recipe = Json::parse(contents(family + "/" + recipe_name));
  GgufWriter writer;
  for (const Json& pair : recipe.at("metadata")) {
    add_pair(writer, pair.at(0), pair.at(1), pair.at(2));
  }
  std::string data;
  for (const auto& [name, about] : recipe.at("tensors").items()) {
    const auto shape = about.at("shape").get<std::vector<std::uint64_t>>();
    while (data.size() % writer.alignment != 0) data += '\0';
    writer.tensor(name, {shape.rbegin(), shape.rend()}, kGgmlF32, data.size());
    data += bytes_of_values(make(about, tensors), DType::F32);
  }
  write_file(path, writer.file(0) + data);
}

}  // namespace initrt::testing
