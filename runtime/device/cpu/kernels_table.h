// Fills the kernel table of one instruction set from its traits struct S:
//   lanes, F, I, U, H and the loads, stores and conversions of Vectors (simd.h);
//   fma(a, b, c), reduce4(a, b, c, d), from_f16(H), to_f16(F);
//   tile_rows, value_vectors: register tiles of linear and of attention's weighted values;
//   Bf16Dot: how bf16 weights meet inputs rounded to bf16;
//   Bf16Decoders: the decoders that write what Bf16Dot reads;
//   Int8Codes: how codes of weights meet codes of inputs.
#pragma once

#include "runtime/device/cpu/kernels.h"
#include "runtime/device/cpu/kernels_attention.h"
#include "runtime/device/cpu/kernels_decoded.h"
#include "runtime/device/cpu/kernels_elementwise.h"
#include "runtime/device/cpu/kernels_functions.h"
#include "runtime/device/cpu/kernels_int8.h"
#include "runtime/device/cpu/kernels_linear.h"
#include "runtime/device/cpu/kernels_norm.h"
#include "runtime/device/cpu/kernels_recurrent.h"
#include "runtime/device/cpu/kernels_state_space.h"

namespace initrt::cpu {
namespace {

template <class S>
void round_bf16_inputs(const float* in, std::size_t, std::size_t, std::size_t columns, void* out) {
  if constexpr (sizeof(typename S::Bf16Dot::Input) == 2) {
    from_float<S, AsBf16<S>>(in, static_cast<std::byte*>(out), columns);
  } else {
    round_to_float<S, AsBf16<S>>(in, out, columns);
  }
}

template <class S>
void round_f16_inputs(const float* in, std::size_t, std::size_t, std::size_t columns, void* out) {
  round_to_float<S, AsF16<S>>(in, out, columns);
}

template <class S>
consteval Kernels make_kernels() {
  using F32 = AsF32<S>;
  using Bf16 = AsBf16<S>;
  using F16 = AsF16<S>;
  Kernels kernels{
      .tile_rows = {S::tile_rows, S::tile_rows, S::tile_rows},
      .tile_outputs = {tile_outputs, tile_outputs, tile_outputs},
      .piece_outputs = {},
      .input_bytes = {4, sizeof(typename S::Bf16Dot::Input), 4},
      .input_rows = {1, 1, 1},
      .linear = {linear<S, WidenedDot<S, F32>>, linear<S, typename S::Bf16Dot>,
                 linear<S, WidenedDot<S, F16>>},
      .round_inputs = {nullptr, round_bf16_inputs<S>, round_f16_inputs<S>},
      .linear_decoded = {linear_decoded<S, WidenedDot<S, F32>>,
                         linear_decoded<S, typename S::Bf16Decoders::Dot>,
                         linear_decoded<S, WidenedDot<S, F32>>},
      .decoders = {},
      .linear_int8 = {linear_int8<S, AsF32<Four>>, linear_int8<S, AsBf16<Four>>,
                      linear_int8<S, AsF16<Four>>},
      .code_inputs = {code_inputs<S, F32>, code_inputs<S, Bf16>, code_inputs<S, F16>},
      .attention = {attention<S, F32>, attention<S, Bf16>, attention<S, F16>},
      .to_float = {to_float<S, F32>, to_float<S, Bf16>, to_float<S, F16>},
      .from_float = {from_float<S, F32>, from_float<S, Bf16>, from_float<S, F16>},
      .accumulate = {accumulate<S, F32>, accumulate<S, Bf16>, accumulate<S, F16>},
      .norm = {{rms_norm<S, F32>, rms_norm<S, Bf16>, rms_norm<S, F16>},
               {layer_norm<S, F32>, layer_norm<S, Bf16>, layer_norm<S, F16>}},
      .convolve = {convolve<S, F32>, convolve<S, Bf16>, convolve<S, F16>},
      .delta_values = DeltaTile<S>::width,
      .delta = delta<S>,
      .state_space = state_space<S>,
      .normalize = normalize<S>,
      .delta_gates = delta_gates<S>,
      .state_space_gates = state_space_gates<S>,
      .rotary = rotary<S>,
      .gate = {gate_row<S, Silu<S>>, gate_row<S, Gelu<S>>, gate_row<S, GeluTanh<S>>,
               gate_row<S, QuickGelu<S>>, gate_row<S, Sigmoid<S>>, gate_row<S, Relu2<S>>},
      .limit = limit_row<S>,
      .add = add<S>,
      .scale = scale<S>,
      .softcap = softcap<S>,
      .exp = exp_row<S>,
  };
  for (std::size_t i = 0; i < format_count; ++i) {
    kernels.decoders[i][0] = Decoders<S, FloatPanel<S, F32>>::of(i);
    kernels.decoders[i][1] = S::Bf16Decoders::of(i);
    kernels.decoders[i][2] = Decoders<S, FloatPanel<S, F16>>::of(i);
  }
  return kernels;
}

}  // namespace
}  // namespace initrt::cpu
