#include "tests/runtime/text/styles.h"

#include <fmt/ranges.h>

#include <charconv>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "sharding/error.h"
#include "tests/support/source_path.h"

namespace initrt::styles {
namespace {

using nlohmann::json;

std::ifstream open(const std::string& name) {
  std::ifstream file(testing::source_path("tests/golden/tokenizer_styles/" + name));
  if (!file) fail("tests/golden/tokenizer_styles/{} is missing", name);
  return file;
}

std::string from_hex(const std::string& hex) {
  std::string bytes;
  for (std::size_t i = 0; i < hex.size(); i += 2) {
    unsigned char byte = 0;
    std::from_chars(hex.data() + i, hex.data() + i + 2, byte, 16);
    bytes.push_back(static_cast<char>(byte));
  }
  return bytes;
}

const json& all_styles() {
  static const json styles = json::parse(open("styles.json"));
  return styles;
}

void put_charsmap(json& node, const json& charsmap) {
  if (node.is_object() && node.value("type", json()) == "Precompiled") {
    node["precompiled_charsmap"] = charsmap;
  }
  if (!node.is_structured()) return;
  for (json& value : node) put_charsmap(value, charsmap);
}

}  // namespace

std::vector<std::string> names() {
  std::vector<std::string> names;
  for (const auto& [name, style] : all_styles().items()) names.push_back(name);
  return names;
}

const std::vector<std::string>& texts() {
  static const std::vector<std::string> texts = [] {
    std::vector<std::string> read;
    std::ifstream file = open("texts.jsonl");
    for (std::string line; std::getline(file, line);) {
      const json text = json::parse(line);
      read.push_back(text.is_string() ? text.get<std::string>() : from_hex(text["hex"]));
    }
    return read;
  }();
  return texts;
}

json tokenizer_json(const std::string& style) {
  json tokenizer = all_styles().at(style);
  json model = json::parse(open(tokenizer["vocabulary"].get<std::string>() + ".json"));
  if (tokenizer.contains("model")) model.update(tokenizer["model"]);
  if (model.contains("charsmap")) {
    put_charsmap(tokenizer["normalizer"], model["charsmap"]);
    model.erase("charsmap");
  }
  tokenizer.erase("vocabulary");
  tokenizer["model"] = model;
  return tokenizer;
}

std::vector<Reference> references(const std::string& style) {
  std::vector<Reference> read;
  std::ifstream file = open(style + ".hashes");
  for (Reference reference;
       file >> std::dec >> reference.count >> std::hex >> reference.ids >> reference.decoded;) {
    read.push_back(reference);
  }
  return read;
}

FirstToken first_token(const std::string& style) {
  const json& decoder = all_styles().at(style)["decoder"];
  if (decoder["type"] == "Metaspace") {
    return decoder["prepend_scheme"] == "never" ? FirstToken::AsItIs : FirstToken::WithoutSpaces;
  }
  if (decoder["type"] != "Sequence") return FirstToken::AsItIs;
  return decoder["decoders"].back()["type"] == "Strip" ? FirstToken::WithoutOneSpace
                                                       : FirstToken::AsItIs;
}

std::uint32_t hash(std::string_view bytes) {
  std::uint64_t hash = 0xCBF29CE484222325;
  for (const char byte : bytes) hash = (hash ^ static_cast<unsigned char>(byte)) * 0x100000001B3;
  return static_cast<std::uint32_t>(hash >> 32 ^ hash);
}

std::uint32_t hash(const std::vector<TokenId>& ids) {
  return hash({reinterpret_cast<const char*>(ids.data()), ids.size() * sizeof(TokenId)});
}

std::string describe(const std::string& style, std::size_t text, const std::vector<TokenId>& ids) {
  return fmt::format(
      "make_tokenizer_styles_reference.py tests/golden/tokenizer_styles {} {}\n{}\n{}", style, text,
      json(to_valid_utf8(texts()[text])).dump(), fmt::join(ids, " "));
}

}  // namespace initrt::styles
