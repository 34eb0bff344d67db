#include "sharding/checkpoint/torch/torch_globals.h"

#include <algorithm>

namespace initrt {
namespace {

constexpr TorchType kTypes[] = {
    {"torch.DoubleStorage", 8, DType::F64},
    {"torch.FloatStorage", 4, DType::F32},
    {"torch.HalfStorage", 2, DType::F16},
    {"torch.BFloat16Storage", 2, DType::BF16},
    {"torch.LongStorage", 8, DType::I64},
    {"torch.IntStorage", 4, DType::I32},
    {"torch.ShortStorage", 2, DType::I16},
    {"torch.CharStorage", 1, DType::I8},
    {"torch.ByteStorage", 1, DType::U8},
    {"torch.BoolStorage", 1, DType::BOOL},
    {"torch.ComplexFloatStorage", 8, DType::C64},
    {"torch.ComplexDoubleStorage", 16, std::nullopt},
    {"torch.storage.UntypedStorage", 1, std::nullopt},
    {"torch.float64", 8, DType::F64},
    {"torch.float32", 4, DType::F32},
    {"torch.float16", 2, DType::F16},
    {"torch.bfloat16", 2, DType::BF16},
    {"torch.float8_e4m3fn", 1, DType::F8_E4M3},
    {"torch.float8_e5m2", 1, DType::F8_E5M2},
    {"torch.float8_e4m3fnuz", 1, DType::F8_E4M3FNUZ},
    {"torch.float8_e5m2fnuz", 1, DType::F8_E5M2FNUZ},
    {"torch.float8_e8m0fnu", 1, DType::F8_E8M0},
    {"torch.float4_e2m1fn_x2", 1, std::nullopt},
    {"torch.int64", 8, DType::I64},
    {"torch.uint64", 8, DType::U64},
    {"torch.int32", 4, DType::I32},
    {"torch.uint32", 4, DType::U32},
    {"torch.int16", 2, DType::I16},
    {"torch.uint16", 2, DType::U16},
    {"torch.int8", 1, DType::I8},
    {"torch.uint8", 1, DType::U8},
    {"torch.bool", 1, DType::BOOL},
    {"torch.complex32", 4, std::nullopt},
    {"torch.complex64", 8, DType::C64},
    {"torch.complex128", 16, std::nullopt},
};

constexpr std::string_view kOthers[] = {
    "collections.OrderedDict",
    "torch.Size",
    "torch.Tensor",
    "torch._tensor._rebuild_from_type_v2",
    "torch._utils._rebuild_parameter",
    "torch._utils._rebuild_parameter_with_state",
    "torch._utils._rebuild_tensor",
    "torch._utils._rebuild_tensor_v2",
    "torch._utils._rebuild_tensor_v3",
    "torch.device",
    "torch.serialization._get_layout",
};

}  // namespace

const TorchType* torch_type(std::string_view global) {
  const auto* found = std::find_if(std::begin(kTypes), std::end(kTypes),
                                   [&](const TorchType& type) { return type.global == global; });
  return found == std::end(kTypes) ? nullptr : found;
}

std::vector<std::string_view> with_torch_globals(std::span<const std::string_view> names) {
  std::vector<std::string_view> all(names.begin(), names.end());
  for (const TorchType& type : kTypes) all.push_back(type.global);
  all.insert(all.end(), std::begin(kOthers), std::end(kOthers));
  std::sort(all.begin(), all.end());
  return all;
}

std::span<const std::string_view> torch_globals() {
  static const std::vector<std::string_view> all = with_torch_globals({});
  return all;
}

}  // namespace initrt
