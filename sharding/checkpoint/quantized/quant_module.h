// A weight and what lies beside it in its module, while it is found out how it is quantized.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "sharding/checkpoint/catalog.h"
#include "sharding/checkpoint/names/quant_method.h"
#include "sharding/checkpoint/quantized/quant_config.h"
#include "sharding/checkpoint/quantized/quantized_weight.h"
#include "sharding/error.h"

namespace initrt {

/// A weight that a graph needs, of which other tensors make other numbers.
struct QuantModule {
  const Catalog& catalog;
  const QuantConfig& config;
  std::string_view name;                  ///< the weight's, without wrappers
  std::uint64_t rows = 0, columns = 0;    ///< that the model config asks for, [out, in]
  const TensorEntry* weight = nullptr;    ///< the tensor of that name, or null
  std::span<const Companion> companions;  ///< what else belongs to it

  /// The companion of this name within the module, or null.
  [[nodiscard]] const TensorEntry* find(std::string_view leaf) const;
  /// The first of several that is there, or null.
  [[nodiscard]] const TensorEntry* find_any(std::span<const std::string_view> leaves) const;
  /// The companion of this name. @throws Error where it is missing
  [[nodiscard]] const TensorEntry& get(std::string_view leaf) const;

  /// An error that begins with the file and the tensor.
  template <class... Args>
  [[noreturn]] void fail_at(const TensorEntry& tensor, fmt::format_string<Args...> text,
                            Args&&... args) const {
    fail_at_text(tensor, fmt::format(text, std::forward<Args>(args)...));
  }
  [[noreturn]] void fail_at_text(const TensorEntry& tensor, const std::string& text) const;

  /// @throws Error where the tensor has none of these dtypes, or none of these shapes
  void expect_dtype(const TensorEntry& tensor, std::initializer_list<DType> dtypes) const;
  void expect_shape(const TensorEntry& tensor,
                    std::initializer_list<std::vector<std::uint64_t>> shapes) const;
};

/// The component that a tensor is, of which all rows of the weight need all.
[[nodiscard]] QuantComponent component_of(const QuantModule& module, QuantRole role,
                                          const TensorEntry& tensor);
/// The same of which rows need a part. @throws Error where `rows * per` passes 64 bits
[[nodiscard]] QuantComponent component_of(const QuantModule& module, QuantRole role,
                                          const TensorEntry& tensor, QuantAxis axis,
                                          std::uint64_t per, std::uint64_t of);

/// The same, of which columns need a part, too. @throws Error where they need more than there is
[[nodiscard]] QuantComponent by_columns(const QuantModule& module, QuantComponent component,
                                        QuantAxis column_axis, std::uint64_t column_of);

/// One way of storing quantized weights. Adding one is a file and a line in find_quantized.cpp.
struct QuantFormat {
  /// Whether a weight is stored so, by what lies beside it and what the config says.
  bool (*is)(const QuantModule& module);
  /// @throws Error naming the tensor where something is not as it must be
  QuantizedWeight (*read)(const QuantModule& module);
};

bool is_llm_int8(const QuantModule& module);
QuantizedWeight read_llm_int8(const QuantModule& module);
bool is_four_bit(const QuantModule& module);
QuantizedWeight read_four_bit(const QuantModule& module);
bool is_gptq(const QuantModule& module);
QuantizedWeight read_gptq(const QuantModule& module);
bool is_awq(const QuantModule& module);
QuantizedWeight read_awq(const QuantModule& module);
bool is_compressed(const QuantModule& module);
QuantizedWeight read_compressed(const QuantModule& module);
bool is_mxfp4(const QuantModule& module);
QuantizedWeight read_mxfp4(const QuantModule& module);
bool is_nvfp4(const QuantModule& module);
QuantizedWeight read_nvfp4(const QuantModule& module);
bool is_fp8(const QuantModule& module);
QuantizedWeight read_fp8(const QuantModule& module);

/// Adds scales of `tensor` to a weight whose block_rows and block_columns are set: one for all, one
/// a row (of one or two dimensions) or one a block. @throws Error where its shape is another
void add_scale_grid(const QuantModule& module, QuantRole role, const TensorEntry& tensor,
                    QuantizedWeight& weight);

}  // namespace initrt
