"""The ways of quantizing of make_quantized_references.py. Each `make(weight, module)` gives the
tensors to store beside one another and the float32 weight that the format's library makes of them."""

import bitsandbytes as bnb
import torch
from bitsandbytes.backends.default.ops import _dequantize_4bit_compute
from compressed_tensors.compressors import BaseCompressor
from compressed_tensors.compressors.nvfp4.helpers import unpack_fp4_from_uint8
from compressed_tensors.compressors.pack_quantized.helpers import pack_to_int32, unpack_from_int32
from compressed_tensors.quantization import QuantizationArgs, QuantizationScheme
from compressed_tensors.quantization.lifecycle.forward import dequantize
from compressed_tensors.quantization.utils import calculate_qparams, generate_gparam
from gptqmodel import QuantizeConfig
from gptqmodel.nn_modules.qlinear.torch import TorchLinear
from gptqmodel.quantization.awq.utils.packing_utils import dequantize_gemm, pack_awq
from gptqmodel.utils.model import convert_gptq_v2_to_v1_format_module
from transformers import AutoModelForCausalLM, CompressedTensorsConfig
from transformers.integrations.finegrained_fp8 import Fp8Dequantize, _dequantize_fp8_weight

E4M3 = torch.float8_e4m3fn
E4M3_MAX = 448.0


def blocks(weight, rows, columns):
    """[block rows, block columns] of the largest magnitudes, partial blocks too."""
    high, wide = -(-weight.shape[0] // rows), -(-weight.shape[1] // columns)
    padded = torch.zeros(high * rows, wide * columns)
    padded[: weight.shape[0], : weight.shape[1]] = weight.abs()
    return padded.reshape(high, rows, wide, columns).amax(dim=(1, 3))


def spread(scale, rows, columns, shape):
    return (
        scale.repeat_interleave(rows, 0).repeat_interleave(columns, 1)[: shape[0], : shape[1]]
    )


# ---- FP8


def fp8_block(rows, columns):
    def make(weight, module):
        scale = blocks(weight, rows, columns) / E4M3_MAX
        codes = (weight / spread(scale, rows, columns, weight.shape)).to(E4M3)
        expected = _dequantize_fp8_weight(codes, scale, [rows, columns], torch.float32)
        return {"weight": codes, "weight_scale_inv": scale}, expected

    return make


def fp8_ue8m0(weight, module):
    scale = torch.exp2(torch.ceil(torch.log2(blocks(weight, 8, 8) / E4M3_MAX)))
    codes = (weight / spread(scale, 8, 8, weight.shape)).to(E4M3)
    scale = scale.to(torch.float8_e8m0fnu)
    expected = Fp8Dequantize(None)._dequantize_one(codes, scale, torch.float32)
    return {"weight": codes, "weight_scale_inv": scale}, expected


def fp8_tensor(weight, module):
    scale = weight.abs().max() / E4M3_MAX
    codes = (weight / scale).to(E4M3)
    stored = {"weight": codes, "weight_scale": scale, "input_scale": torch.tensor(0.5)}
    return stored, _dequantize_fp8_weight(codes, scale, None, torch.float32)


# ---- bitsandbytes


def llm_int8(weight, module):
    codes, scales, _ = bnb.functional.int8_vectorwise_quant(weight.to(torch.float16))
    stored = {"weight": codes, "SCB": scales, "weight_format": torch.tensor(0, dtype=torch.uint8)}
    return stored, bnb.functional.int8_vectorwise_dequant(codes, scales)


def four_bit(kind, nested, storage=torch.uint8, block=64):
    def make(weight, module):
        codes, state = bnb.functional.quantize_4bit(
            weight.to(torch.bfloat16),
            blocksize=block,
            compress_statistics=nested,
            quant_type=kind,
            quant_storage=storage,
        )
        stored = {"weight": codes}
        stored |= {f"weight.{key}": value for key, value in state.as_dict(packed=True).items()}
        # dequantize_4bit(), but for its kernel for CPUs with AVX-512: in 0.50.2 that is wrong where
        # rows are no multiple of a block.
        scales = state.absmax
        if nested:
            scales = bnb.functional.dequantize_blockwise(scales, state.state2) + state.offset
        bytes_ = codes.reshape(-1).view(torch.uint8)
        expected = _dequantize_4bit_compute(
            bytes_, scales, state.code, block, weight.shape, torch.float32
        )
        state.dtype = torch.float32
        if weight.shape[1] % block == 0:
            assert torch.equal(expected, bnb.functional.dequantize_4bit(codes, state))
        return stored, expected

    return make


# ---- GPTQ and AWQ


def grouped(weight, bits, group, order=None, symmetric=True):
    """Scales and zeros [out, groups] of columns in an order, and the group of each."""
    columns = weight.shape[1]
    group = columns if group < 0 else group
    index = torch.arange(columns) // group
    if order is not None:
        index = index[torch.argsort(order)]
    count = int(index.max()) + 1
    scales, zeros = torch.empty(weight.shape[0], count), torch.empty(weight.shape[0], count)
    top = 2**bits - 1
    for g in range(count):
        part = weight[:, index == g]
        if symmetric:
            scales[:, g] = 2 * part.abs().amax(1) / top
            zeros[:, g] = 2 ** (bits - 1)
        else:
            low, high = part.amin(1).clamp(max=0), part.amax(1).clamp(min=0)
            scales[:, g] = (high - low) / top
            # 0 would be -1 in the first format.
            zeros[:, g] = torch.round(-low / scales[:, g]).clamp(1, top)
    return scales.to(torch.float16).float(), zeros, index.to(torch.int32)


def gptq(bits, group, ordered=False, symmetric=True, v1=True):
    def make(weight, module):
        columns = weight.shape[1]
        order = torch.randperm(columns) if ordered else None
        scales, zeros, index = grouped(weight, bits, group, order, symmetric)
        linear = torch.nn.Linear(columns, weight.shape[0], bias=False)
        linear.weight.data = weight.clone()
        packed = TorchLinear(
            bits=bits,
            group_size=columns if group < 0 else group,
            sym=symmetric,
            desc_act=ordered,
            in_features=columns,
            out_features=weight.shape[0],
        )
        packed.pack_original(linear, scales, zeros.to(torch.int32), index)
        packed.post_init()
        stored = {key: getattr(packed, key).clone() for key in ("qweight", "scales", "g_idx")}
        packed.scales = packed.scales.float()
        expected = packed.dequantize_weight().T.contiguous()
        if v1:
            convert_gptq_v2_to_v1_format_module(packed, QuantizeConfig(bits=bits))
        stored["qzeros"] = packed.qzeros.clone()
        return stored, expected

    return make


def awq(weight, module):
    group = 8
    scales, zeros, index = grouped(weight, 4, group, symmetric=False)
    each = index.long()
    codes = torch.round(weight / scales[:, each] + zeros[:, each]).clamp(0, 15).to(torch.int32)
    # The module that packs asks for a GPU; this is what it calls.
    qweight, qzeros = pack_awq(codes.T.contiguous(), zeros.T.contiguous().to(torch.int32), 4)
    scales = scales.T.contiguous()
    stored = {"qweight": qweight, "qzeros": qzeros, "scales": scales.to(torch.float16)}
    expected = dequantize_gemm(qweight, qzeros, scales, 4, group)
    return stored, expected.T.contiguous()


# ---- compressed-tensors


def compressed(form, args):
    def make(weight, module):
        scheme = QuantizationScheme(targets=["Linear"], weights=args, format=form)
        arguments = scheme.weights
        rows, columns = weight.shape
        if arguments.strategy == "tensor":
            low, high = weight.amin().reshape(1), weight.amax().reshape(1)
        elif arguments.strategy == "channel":
            low, high = weight.amin(1, keepdim=True), weight.amax(1, keepdim=True)
        elif arguments.strategy == "block":
            high = blocks(weight, *arguments.block_structure)
            low = -high
        else:
            parts = weight.reshape(rows, -1, arguments.group_size)
            low, high = parts.amin(2), parts.amax(2)
        state = {"weight": weight}
        extra = {}
        if arguments.strategy == "tensor_group":
            extra["global_scale"] = generate_gparam(weight.amin(), weight.amax())
            state["weight_global_scale"] = extra["global_scale"]
        scale, zero = calculate_qparams(low, high, arguments, **extra)
        state["weight_scale"] = scale if form.startswith(("mx", "nv")) else scale.to(torch.bfloat16)
        if not arguments.symmetric:
            state["weight_zero_point"] = zero.to(torch.int8)
        compressor = BaseCompressor.get_value_from_registry(form)
        stored = compressor.compress(state, scheme)
        stored = {key: value.detach() for key, value in stored.items()}
        # As it stands, and with scales of float32: what rounding to their dtype must give.
        given = compressor.decompress(dict(stored), scheme)["weight"]
        if form.startswith("nv"):  # whose result is always bfloat16: the same in float32
            codes = unpack_fp4_from_uint8(stored["weight_packed"], rows, columns, torch.float32)
            factor = stored["weight_global_scale"]
            wide_scale = stored["weight_scale"].float()
            expected = dequantize(codes, wide_scale, args=arguments, global_scale=factor)
            assert torch.equal(expected.to(given.dtype), given), "rounds to another"
            return stored, expected
        wide = dict(stored)
        if stored["weight_scale"].dtype == torch.bfloat16:
            wide["weight_scale"] = stored["weight_scale"].float()
        expected = compressor.decompress(wide, scheme)["weight"].float()
        assert torch.equal(expected.to(given.dtype), given), "rounds to another"
        return stored, expected

    return make


def compressed_order(weight, module):
    """Groups in the order of activations: "weight_g_idx", as compressed-tensors had it until 0.9.
    By its definition: column c has the scale and the zero of group g_idx[c]."""
    order = torch.randperm(weight.shape[1])
    index = (torch.arange(weight.shape[1]) // 8)[torch.argsort(order)]
    stored, expected = compressed("pack-quantized", PACKED_GROUPS)(weight[:, order], module)
    # Codes of the columns as the weight has them, packed again.
    codes = unpack_from_int32(stored["weight_packed"], 4, weight.shape)
    back = torch.empty_like(codes)
    back[:, order] = codes
    stored["weight_packed"] = pack_to_int32(back, 4)
    stored["weight_g_idx"] = index.to(torch.int32)
    restored = torch.empty_like(expected)
    restored[:, order] = expected
    scale = stored["weight_scale"].float()[:, index]
    assert torch.equal(restored, back.float() * scale)
    return stored, restored


def modelopt_nvfp4(weight, module):
    """By the format's definition (ModelOpt's NVFP4QTensor): value * (scale * scale_2)."""
    values = torch.tensor([0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0])
    parts = weight.reshape(weight.shape[0], -1, 16)
    second = weight.abs().max() / (6.0 * E4M3_MAX)
    scale = (parts.abs().amax(2) / 6.0 / second).to(E4M3)
    each = (scale.float() * second)[..., None]
    codes = (parts.abs() / each)[..., None].sub(values).abs().argmin(-1).to(torch.uint8)
    expected = values[codes.long()] * torch.where(parts < 0, -1.0, 1.0) * each
    codes = (codes | ((parts < 0).to(torch.uint8) << 3)).reshape(weight.shape)
    stored = {
        "weight": codes[:, 0::2] | codes[:, 1::2] << 4,
        "weight_scale": scale,
        "weight_scale_2": second,
        "input_scale": torch.tensor(0.25),
    }
    return stored, expected.reshape(weight.shape)


PACKED_GROUPS = dict(num_bits=4, type="int", strategy="group", group_size=8, symmetric=True)
TOKENS = dict(num_bits=8, type="int", strategy="token", dynamic=True, symmetric=True)
INT8 = dict(num_bits=8, type="int", strategy="channel", symmetric=True)
FP8 = dict(num_bits=8, type="float", symmetric=True)
CT = "compressed-tensors' decompress()"


def ct_config(form, args, activations=None, ignore=("lm_head",), **groups):
    group = {"targets": ["Linear"], "weights": args, "input_activations": activations}
    return {
        "quant_method": "compressed-tensors",
        "format": form,
        "quantization_status": "compressed",
        "ignore": list(ignore),
        "config_groups": {"group_0": group} | groups,
    }


def ct(form, args, activations=None, **more):
    ignore = ["lm_head"] + [f"re:.*{word}" for word in more.get("skip", ())]
    return {
        "make": compressed(form, args),
        "quantization": ct_config(form, args, activations, ignore),
        "by": CT,
    } | more


def gptq_case(bits, group, ordered=False, symmetric=True, v1=True):
    return {
        "make": gptq(bits, group, ordered, symmetric, v1),
        "quantization": {
            "quant_method": "gptq",
            "bits": bits,
            "group_size": group,
            "desc_act": ordered,
            "sym": symmetric,
            "checkpoint_format": "gptq" if v1 else "gptq_v2",
        },
        "by": "GPTQModel's TorchLinear.dequantize_weight(), with float32 scales",
    }


def bnb_case(make, **config):
    return {
        "make": make,
        "quantization": {"quant_method": "bitsandbytes"} | config,
        "by": "bitsandbytes' default dequantize_4bit and int8_vectorwise_dequant",
    }


NF4 = dict(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype="bfloat16")
FP4 = NF4 | dict(bnb_4bit_quant_type="fp4", bnb_4bit_use_double_quant=False)
CASES = {
    # Partial blocks: of 64, 40, 32 and 16 rows and 64, 40 and 32 columns.
    "fp8_block": {
        "make": fp8_block(24, 24),
        "quantization": {
            "quant_method": "fp8",
            "activation_scheme": "dynamic",
            "weight_block_size": [24, 24],
        },
        "by": "transformers' _dequantize_fp8_weight()",
    },
    "fp8_ue8m0": {
        "make": fp8_ue8m0,
        "quantization": {
            "quant_method": "fp8",
            "activation_scheme": "dynamic",
            "scale_fmt": "ue8m0",
            "weight_block_size": [8, 8],
        },
        "by": "transformers' Fp8Dequantize",
    },
    "fp8_modelopt": {
        "make": fp8_tensor,
        "quantization": {"quant_algo": "FP8", "kv_cache_quant_algo": None},
        "hf_quant_config": True,
        "by": "transformers' _dequantize_fp8_weight()",
    },
    "bnb_int8": bnb_case(llm_int8, load_in_8bit=True),
    "bnb_nf4_nested": bnb_case(four_bit("nf4", True), bnb_4bit_use_double_quant=True, **NF4),
    "bnb_nf4_stored_bf16": bnb_case(
        four_bit("nf4", False, torch.bfloat16, 128), bnb_4bit_quant_storage="bfloat16", **NF4
    ),
    "bnb_fp4": bnb_case(four_bit("fp4", False), **FP4),
    "gptq4_order": gptq_case(4, 16, ordered=True),
    "gptq4_odd_groups": gptq_case(4, 32, symmetric=False),
    "gptq8_v2_rows": gptq_case(8, -1, symmetric=False, v1=False),
    "awq": {
        "make": awq,
        "quantization": {
            "quant_method": "awq",
            "bits": 4,
            "group_size": 8,
            "version": "gemm",
            "zero_point": True,
        },
        "by": "GPTQModel's dequantize_gemm(), with float32 scales",
    },
    "ct_int4": ct("pack-quantized", PACKED_GROUPS),
    "ct_int4_zeros": ct("pack-quantized", PACKED_GROUPS | {"symmetric": False}),
    "ct_int4_order": {
        "make": compressed_order,
        "quantization": ct_config("pack-quantized", PACKED_GROUPS | {"actorder": "group"}),
        "by": CT + " and the definition of weight_g_idx",
    },
    "ct_int8_packed": ct("pack-quantized", INT8),
    "ct_w8a8": ct("int-quantized", INT8, TOKENS),
    "ct_fp8_channel": ct("float-quantized", FP8 | {"strategy": "channel"}),
    "ct_fp8_block": ct("float-quantized", FP8 | {"strategy": "block", "block_structure": [24, 40]}),
    # Groups of 32 or 16, which the 40 columns of down_proj are no multiple of: it stays plain.
    "ct_mxfp4": ct(
        "mxfp4-pack-quantized",
        dict(num_bits=4, type="float", strategy="group", group_size=32, scale_dtype="torch.uint8"),
        skip=["down_proj"],
    ),
    "ct_mxfp8": ct(
        "mxfp8-quantized",
        dict(num_bits=8, type="float", strategy="group", group_size=32, scale_dtype="torch.uint8"),
        skip=["down_proj"],
    ),
    "ct_nvfp4": ct(
        "nvfp4-pack-quantized",
        dict(
            num_bits=4,
            type="float",
            strategy="tensor_group",
            group_size=16,
            scale_dtype="torch.float8_e4m3fn",
        ),
        skip=["down_proj"],
    ),
    "modelopt_nvfp4": {
        "make": modelopt_nvfp4,
        "quantization": {"quant_algo": "NVFP4", "group_size": 16},
        "skip": ["down_proj"],
        "hf_quant_config": True,
        "by": "the definition of the format",
    },
}
# Eight bits take twice the room.
for name in (
    "fp8_ue8m0",
    "fp8_modelopt",
    "bnb_int8",
    "gptq8_v2_rows",
    "ct_int8_packed",
    "ct_w8a8",
    "ct_fp8_channel",
    "ct_mxfp8",
):
    CASES[name]["config"] = {"hidden_size": 32}


def load_dequantized(path, method):
    """The folder as transformers loads and dequantizes it by itself."""
    config = {}
    if method == "compressed-tensors":
        config["quantization_config"] = CompressedTensorsConfig(dequantize=True)
    model = AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32, **config)
    if method == "bitsandbytes":
        model = model.dequantize(dtype=torch.float32)
    return model
