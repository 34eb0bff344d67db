// Pickles opcode by opcode, and the calls in them that torch.save writes.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tests/sharding/checkpoint/header_writers.h"
#include "tests/sharding/checkpoint/torch/zip_writer.h"

namespace initrt::testing {

/// Each function gives the opcodes that leave one value on the stack.
inline std::string pickle(const std::string& value) { return "\x80\x02" + value + "."; }
inline std::string py_string(std::string_view text) {
  return "X" + raw(static_cast<std::uint32_t>(text.size())) + std::string(text);
}
inline std::string py_int(std::int64_t value) { return "\x8a\x08" + raw(value); }
inline std::string py_global(std::string_view module, std::string_view name) {
  return "c" + std::string(module) + "\n" + std::string(name) + "\n";
}
inline std::string py_tuple(const std::vector<std::string>& items) {
  std::string text = "(";
  for (const std::string& item : items) text += item;
  return text + "t";
}
inline std::string py_ints(const std::vector<std::int64_t>& values) {
  std::string text = "(";
  for (const std::int64_t value : values) text += py_int(value);
  return text + "t";
}
inline std::string py_list(const std::vector<std::string>& items) {
  std::string text = "](";
  for (const std::string& item : items) text += item;
  return text + "e";
}
/// (key, value) pairs, both as opcodes.
using PyItems = std::vector<std::pair<std::string, std::string>>;
inline std::string py_items(const PyItems& items) {
  std::string text = "(";
  for (const auto& [key, value] : items) text += key + value;
  return text + "u";
}
inline std::string py_dict(const PyItems& items) { return "}" + py_items(items); }
inline std::string py_call(const std::string& global, const std::vector<std::string>& args) {
  return global + py_tuple(args) + "R";
}
inline std::string ordered_dict() { return py_call(py_global("collections", "OrderedDict"), {}); }

inline std::string py_storage(std::string_view type, std::string_view key, std::int64_t elements) {
  return py_tuple({py_string("storage"), py_global("torch", type), py_string(key), py_string("cpu"),
                   py_int(elements)}) +
         "Q";
}

/// A tensor as torch.save writes it.
struct PyTensor {
  std::string storage;
  std::int64_t offset = 0;
  std::vector<std::int64_t> shape, strides;
  std::string more = {};  ///< further arguments

  [[nodiscard]] std::vector<std::string> args() const {
    std::vector<std::string> all = {storage,          py_int(offset), py_ints(shape),
                                    py_ints(strides), "\x89",         ordered_dict()};
    if (!more.empty()) all.push_back(more);
    return all;
  }
  [[nodiscard]] std::string call() const {
    return py_call(py_global("torch._utils", "_rebuild_tensor_v2"), args());
  }
};

/// torch.save's archive of this pickle, with the storages "0", "1", ...
inline ZipWriter torch_archive(const std::string& data_pkl,
                               const std::vector<std::string>& storages = {}) {
  ZipWriter zip;
  zip.zip64 = true;
  zip.member("archive/data.pkl", data_pkl).member("archive/byteorder", "little");
  for (std::size_t i = 0; i < storages.size(); ++i) {
    zip.member("archive/data/" + std::to_string(i), storages[i]);
  }
  zip.member("archive/version", "3\n");
  return zip;
}

}  // namespace initrt::testing
