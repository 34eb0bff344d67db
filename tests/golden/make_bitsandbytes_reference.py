#!/usr/bin/env python3
"""Writes tests/golden/bitsandbytes/rows.safetensors: rows of weights, and the codes and scales that
bitsandbytes gives them on a CPU; and scales.safetensors: scales of matrices, and the codes that it
gives these where it quantizes twice (compress_statistics).

Needs bitsandbytes==0.50.2, torch, gguf and safetensors, and a model for its real weights:
    make_bitsandbytes_reference.py models/SmolLM2-135M-Instruct.Q4_1.gguf tests/golden/bitsandbytes

<case>.<dtype>.in               [rows, columns] in F32, BF16 or F16
<case>.<dtype>.<format>.codes   I8 [rows, columns], or U8 [rows, bytes of a row] of nf4 and fp4
<case>.<dtype>.<format>.scales  F32 [rows, 1], or [rows, blocks of 64]
<case>.<dtype>.<format>.values  F32 [rows, columns], of some cases: what the codes are dequantized to

scales.safetensors:
map                 F32 [256], what codes of scales stand for
<case>.in           F32 [rows, blocks of 64]
<case>.mean         F32 [1], the mean of all, rounded once
<case>.offset       F32 [1], what torch.mean() makes it with one thread
<case>.codes        U8 [rows, blocks]
<case>.magnitudes   F32 [blocks of 256]
<case>.values       F32 [rows, blocks], what the codes are dequantized to

Matrices are quantized as one where columns are a multiple of 64, else row by row. Both functions are
torch code on a CPU (bitsandbytes/backends/default/ops.py); dequantize_4bit() of an even width is
bitsandbytes' own library, and so are quantize_blockwise() and dequantize_blockwise().
"""

import math
import sys
from fractions import Fraction
from importlib.metadata import version
from pathlib import Path

import bitsandbytes.functional as bnb
import gguf
import torch
from bitsandbytes.backends.default.ops import _get_4bit_quantize_bounds
from safetensors.torch import save_file

DTYPES = {"F32": torch.float32, "BF16": torch.bfloat16, "F16": torch.float16}
BLOCK = 64
WITH_VALUES = {"normal.BF16", "odd.F16", "narrow.F32", "special.F32"}


def four_bit(matrix, kind, with_values):
    """Codes, scales and values of a matrix, or of each of its rows by itself."""
    rows, columns = matrix.shape
    parts = [matrix] if columns % BLOCK == 0 else matrix.split(1)
    codes, scales, values = [], [], []
    for part in parts:
        packed, state = bnb.quantize_4bit(part.clone(), blocksize=BLOCK, quant_type=kind)
        codes.append(packed.reshape(len(part), -1))
        scales.append(state.absmax.reshape(len(part), -1))
        if with_values:
            state.dtype = torch.float32
            values.append(bnb.dequantize_4bit(packed, state).reshape(len(part), columns))
    return codes, scales, values


def int8(matrix, with_values):
    codes, scales, _ = bnb.int8_vectorwise_quant(matrix.clone())
    values = [bnb.int8_vectorwise_dequant(codes, scales)] if with_values else []
    return [codes], [scales.reshape(-1, 1)], values


def neighbours(values, dtype):
    """Each value rounded to the dtype, with the numbers next to it."""
    near = torch.tensor(values).to(dtype)
    infinity = torch.tensor(math.inf, dtype=dtype)
    return torch.cat([torch.nextafter(near, -infinity), near, torch.nextafter(near, infinity)])


def threshold_rows(dtype):
    """Blocks with all bounds of a format times a largest magnitude, and what lies next to them."""
    rows = []
    for kind in ("nf4", "fp4"):
        bounds, _ = _get_4bit_quantize_bounds(kind, torch.device("cpu"))
        for largest in (1.0, 0.7109375, 3.3125, 0.0123):
            near = neighbours((bounds * largest).tolist(), dtype)
            row = torch.zeros(BLOCK, dtype=dtype)
            row[: len(near)] = near
            row[-1] = largest
            rows.append(row)
    for largest in (127.0, 1.0, 0.7109375):  # halves, which int8 rounds to even
        row = torch.tensor([(code + 0.5) * largest / 127 for code in range(-63, 1)]).to(dtype)
        row[0] = -largest
        rows.append(row)
    return torch.stack(rows)


def short_rows():
    """Bounds and their neighbours in rows shorter than a block, which bitsandbytes divides by the
    largest magnitude; it multiplies longer ones by the inverse."""
    rows = []
    for kind in ("nf4", "fp4"):
        bounds, _ = _get_4bit_quantize_bounds(kind, torch.device("cpu"))
        for largest in (0.7109375, 3.3, 0.0123):
            near = neighbours((bounds * largest).tolist(), torch.float32)
            row = torch.cat([near, torch.tensor([0.0, largest])])
            by_inverse = row * (1.0 / row[-1])
            found, other = (torch.bucketize(x, bounds) for x in (row / row[-1], by_inverse))
            assert (found != other).any()
            rows.append(row)
    return torch.stack(rows)


def special_rows(dtype, generator):
    ordinary = torch.randn(BLOCK, generator=generator)
    info = torch.finfo(dtype)
    alternating = torch.tensor([1.0, -1.0]).repeat(BLOCK // 2)
    outlier = ordinary * 1e-3
    outlier[17] = -60.0
    rows = [
        torch.zeros(BLOCK),
        -torch.zeros(BLOCK),
        outlier,
        alternating * 0.5,
        torch.full((BLOCK,), -0.3),
        torch.randint(-9, 10, (BLOCK,), generator=generator) * info.smallest_normal * info.eps,
        ordinary * info.smallest_normal,
        ordinary * 1e-38,
        ordinary.clamp(-1, 1) * 3e-37,  # 127 / FLT_MAX is 3.7e-37
        ordinary.clamp(-1, 1) * 4e-37,
        ordinary.clamp(-1, 1) * info.max,
        alternating * info.tiny,
    ]
    return torch.stack(rows).to(dtype)


def real_rows(model):
    """Rows of two widths, as they lie in a GGUF file, dequantized."""
    tensors = {tensor.name: tensor for tensor in gguf.GGUFReader(model).tensors}
    read = lambda name, row: torch.from_numpy(  # noqa: E731
        gguf.quants.dequantize(tensors[name].data[row : row + 1], tensors[name].tensor_type)
    )
    return {
        "q_proj": torch.cat([read("blk.7.attn_q.weight", row) for row in (0, 300)]),
        "down_proj": read("blk.7.ffn_down.weight", 11),
    }


def matrices(model):
    generator = torch.Generator().manual_seed(1)
    normal = torch.randn(4, 192, generator=generator) * 0.02
    odd = torch.randn(3, 77, generator=generator)
    narrow = torch.randn(3, 6, generator=generator)
    narrow[0] = 0
    narrow[1] *= 1e-39
    for name, dtype in DTYPES.items():
        yield f"normal.{name}", normal.to(dtype)
        yield f"odd.{name}", odd.to(dtype)
        yield f"narrow.{name}", narrow.to(dtype)
        yield f"special.{name}", special_rows(dtype, generator)
        yield f"thresholds.{name}", threshold_rows(dtype)
    yield "short.F32", short_rows()
    for part, rows in real_rows(model).items():
        yield f"{part}.BF16", rows.to(torch.bfloat16)
    yield "q_proj.F16", real_rows(model)["q_proj"].to(torch.float16)


def scale_cases(model):
    """Scales of matrices: [rows, blocks]."""
    generator = torch.Generator().manual_seed(2)
    tensors = {tensor.name: tensor for tensor in gguf.GGUFReader(model).tensors}
    for part, name, count in (("q_proj", "attn_q", 70), ("down_proj", "ffn_down", 20)):
        tensor = tensors[f"blk.7.{name}.weight"]
        rows = gguf.quants.dequantize(tensor.data[:count], tensor.tensor_type)
        yield part, torch.from_numpy(rows).reshape(count, -1, BLOCK).abs().amax(-1)
    normal = torch.randn(9, 33, BLOCK, generator=generator).abs().amax(-1)
    yield "normal", normal * 0.02
    yield "zeros", torch.zeros(7, 3)
    yield "alike", torch.full((30, 9), 0.3)
    outlier = normal * 1e-3
    outlier[3, 2] = 60.0
    yield "outlier", outlier
    yield "denormal", normal[:4, :5] * 1e-39
    yield "tiny", normal * 1e-37
    yield "one", normal[:1, :1]
    rising = torch.arange(512, dtype=torch.float32) / 511  # every code
    yield "rising", rising.reshape(2, 256)


def round_once(value):
    """A fraction to float32, to nearest even."""
    near = torch.tensor(float(value), dtype=torch.float32)
    candidates = torch.stack([torch.nextafter(near, torch.tensor(-math.inf)), near,
                              torch.nextafter(near, torch.tensor(math.inf))])
    distance = lambda one: (abs(Fraction(one.item()) - value),  # noqa: E731
                            one.view(torch.int32).item() & 1)
    return min(candidates, key=distance)


def twice_quantized(scales):
    """What a matrix with these scales has, through quantize_4bit()."""
    matrix = scales.reshape(-1, 1) * torch.nn.functional.one_hot(torch.tensor([0]), BLOCK)
    _, state = bnb.quantize_4bit(matrix.reshape(len(scales), -1), blocksize=BLOCK,
                                 quant_type="nf4", compress_statistics=True)
    assert state.state2.blocksize == 256
    values = bnb.dequantize_blockwise(state.absmax, state.state2) + state.offset
    mean = sum((Fraction(scale) for scale in scales.flatten().tolist()), Fraction(0))
    return {"in": scales, "mean": round_once(mean / scales.numel()).reshape(1),
            "offset": state.offset.reshape(1), "codes": state.absmax.reshape(scales.shape),
            "magnitudes": state.state2.absmax, "values": values.reshape(scales.shape)}


def main():
    torch.set_num_threads(1)
    versions = {package: version(package) for package in ("bitsandbytes", "torch", "gguf")}
    twice = {"map": bnb.create_dynamic_map()}
    for name, scales in scale_cases(sys.argv[1]):
        twice |= {f"{name}.{part}": found.clone().contiguous()
                  for part, found in twice_quantized(scales).items()}
    save_file(twice, Path(sys.argv[2]) / "scales.safetensors", metadata=versions)
    tensors = {}
    for name, matrix in matrices(sys.argv[1]):
        assert matrix.isfinite().all()
        tensors[f"{name}.in"] = matrix
        with_values = name in WITH_VALUES
        for kind in ("int8", "nf4", "fp4"):
            results = (
                int8(matrix, with_values)
                if kind == "int8"
                else four_bit(matrix, kind, with_values)
            )
            for part, found in zip(("codes", "scales", "values"), results):
                if found:
                    tensors[f"{name}.{kind}.{part}"] = torch.cat(found).contiguous()
    save_file(tensors, Path(sys.argv[2]) / "rows.safetensors", metadata=versions)


if __name__ == "__main__":
    main()
