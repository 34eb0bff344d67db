#!/usr/bin/env python3
"""Writes families/<case>/gguf.json: the GGUF file that llama.cpp's converter makes of the case.

The file itself is not stored but how it is made of the case's Hugging Face tensors, which
tests/golden/family_gguf.cpp follows. Nothing of initrt is used. Needs bench/requirements.txt and
llama-cpp-python, installed and as the source distribution it comes from, which has the converter:

    pip install llama-cpp-python && pip download --no-deps --no-binary :all: llama-cpp-python
    tar xf llama_cpp_python-*.tar.gz
    python tests/golden/make_family_gguf.py llama_cpp_python-*/vendor/llama.cpp [CASE...]

families/<case>/gguf.json         metadata: [key, type, value] of each key but those of the
                                  tokenizer, which is "none"; an array of BOOL is FLAGS, one of
                                  numbers COUNTS
                                  tensors: {name: how it is made}, all of F32:
                                    shape        outermost dimension first
                                    of           [[tensor, first row, rows, heads]...]: rows of
                                                 Hugging Face tensors behind one another; those of
                                                 a vector are its elements, a tensor of more
                                                 dimensions is a matrix of its last, and NAME[I]
                                                 is matrix I of one that is several; if heads is not 0,
                                                 rows 2i and 2i + 1 of each are its rows i and
                                                 half + i
                                    transposed   of the transposes of those tensors
                                    columns      those transposes' rows are columns here
                                    add          to each element
                                    values       instead of all that
families/<case>/gguf_fused.json   of some cases: the same with the converter's option --fuse-qkv
families/<case>/gguf_logits.npy   where a file cannot say all that config.json does (CHANGED):
                                  the logits that transformers gives with what it does say
families/about_gguf.json          for each case the largest difference between llama.cpp's logits of
                                  the 64 tokens and the references, and how many of 64 arg-max
                                  agree; and the versions

The converter runs with the tokenizer stubbed. What a tensor is made of is found by comparing its
rows with the Hugging Face tensors', and checked by making it again: all bits must agree. llama.cpp
looks up GELU and computes parts of attention in float16, so its logits differ by more than
rounding: the case is refused where one differs by MOST_DIFFERENCE, in standard deviations.
"""

import ctypes
import itertools
import json
import sys
import tempfile
import unittest.mock
from importlib.metadata import version
from pathlib import Path

import numpy as np
from safetensors.torch import save_file

import make_family_references as references
from family_cases import CASES, ROPE

FOLDER = references.FOLDER
SILENT = ctypes.CFUNCTYPE(None, ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p)(lambda *_: None)
MOST_DIFFERENCE = 5e-3

# What files do not say, so that transformers has to be told otherwise.
CHANGED = {
    "llama4": {"text_config.attention_chunk_size": 8192, "text_config.floor_scale": 8192,
               "text_config.attn_scale": 0.1},
    "gemma2": {"query_pre_attn_scalar": 16},  # known by the number of layers
    "mistral": {"sliding_window": None},
    "starcoder2": {"sliding_window": None},
    "qwen2_window": {"use_sliding_window": False},
}
# What llama.cpp's graphs compute otherwise than files say.
NOT_COMPUTED = {
    "gemma4_experts": {"text_config.final_logit_softcapping": 30.0},  # where they say none
    "phi3": {"sliding_window": None},
    "llama_yarn": {f"{ROPE}.beta_fast": 32.0, f"{ROPE}.beta_slow": 1.0},
    "olmo3": {"rope_scaling.beta_fast": 32.0, "rope_scaling.beta_slow": 1.0},
}
# Cases whose config.json is for the converter alone: transformers 5 adds keys of experts to it.
PLAIN = ["nemotron_h"]
# Keys that the converter takes from config.json, where transformers 5 no longer writes them.
ALSO = {
    "gpt_neox": {"rotary_pct": 0.25},
    "gpt_neox_sequential": {"rotary_pct": 1.0},
    "falcon_7b": {"num_kv_heads": 1},
    "gpt2": {"n_ctx": 64},
}
# How kinds of arrays are called in recipes.
ARRAYS = {"BOOL": "FLAGS", "UINT32": "COUNTS", "INT32": "COUNTS"}
# Cases that are converted once more with Q, K and V fused.
FUSED = ["llama_gqa_tied", "qwen2", "starcoder2"]
# Models that llama.cpp's converter or graphs have no place for, and why.
WITHOUT = {
    "glm4_moe": "a block that guesses tokens without all of its tensors",
    "kimi_k25": "(as deepseek_v3)",
    "llama4_text": "layers other than in turns",
    "gpt_oss": "(its file is made of columns in turns, which recipes do not say)",
    "deepseek_v3": "(its file has matrices of heads transposed, which recipes do not say)",
    "deepseek_v3_plain_queries": "queries without latents beside biases",
    "glm4_moe_lite": "(as deepseek_v3)",
    "llama_dynamic": "rope scaling of this type",
    "qwen3_next": "layers without experts, keys and values of two sizes",
    "qwen3_next_layer_types": "keys and values of two sizes",
    "qwen3_5": "keys and values of two sizes",
    "qwen3_5_text": "keys and values of two sizes",
    "qwen3_5_moe": "keys and values of two sizes",
    "granitemoehybrid_dense": "state spaces other than of twice the hidden size",
    "nemotron_h_experts": "biases, groups of experts",
    "gemma3": "windows other than in five of six layers, a scale of attention",
    "gemma3_conditional": "windows other than in five of six layers, a scale of attention",
    "gemma4_layer_inputs": "keys that are shared but not of the two layers before",
    "smollm3": "layers without rope other than each fourth",
    "qwen3_moe": "layers without experts",
    "falcon_rw": "biases of attention in this architecture",
    "falcon_11b": "a feed-forward that is not 4 x hidden_size",
    "gpt2_base_names": "a feed-forward that is not 4 x n_embd",
    "exaone4": "windows in models of less than 64 layers",
    "seed_oss_biases": "biases but on Q, K and V",
    "stablelm2_12b": "norms of each head, which the converter loses",
    "cohere_qk_norm": "norms of Q and K in models of less than 64 layers, biases",
}


def convert(folder, path, name, fused):
    """Writes the checkpoint of `folder` as GGUF. Returns the keys that a real file has not."""
    import conversion
    import gguf

    hparams = json.loads((folder / "config.json").read_text())
    if name not in PLAIN:
        hparams = conversion.ModelBase.load_hparams(folder, False) | ALSO.get(name, {})
    architecture = conversion.get_model_architecture(hparams, conversion.ModelType.TEXT)
    model_class = conversion.get_model_class(architecture)
    model_class = getattr(model_class, "Ministral3Model", model_class)  # the one it leaves all to
    stubs = ["GGUF.version", "GGUF.tensor_count", "GGUF.kv_count", "tokenizer.ggml.model"]

    class WithoutTokenizer(model_class):
        model_arch = model_class.model_arch
        no_mtp = True

        def set_vocab(self):
            self._set_vocab_none()
            key = f"{gguf.MODEL_ARCH_NAMES[self.model_arch]}.vocab_size"
            if key not in self.gguf_writer.kv_data[0]:
                self.gguf_writer.add_uint32(key, vocabulary)
                stubs.append(key)

    vocabulary = hparams.get("text_config", hparams)["vocab_size"]
    # The Gemma 3 converter counts the tokens of this.
    tokens = {"vocab": {str(i): i for i in range(vocabulary)}}
    (folder / "tokenizer.json").write_text(json.dumps({"model": tokens, "added_tokens": []}))
    options = dict(eager=True, fuse_qkv=fused)
    with unittest.mock.patch.object(
        conversion.ModelBase, "load_hparams", lambda *_, **__: dict(hparams)
    ):
        WithoutTokenizer(folder, gguf.LlamaFileType.ALL_F32, path, **options).write()
    return stubs


def llama_cpp_logits(path, ids):
    """[tokens, vocabulary] of all tokens at once, with a cache of float32."""
    import llama_cpp as api

    api.llama_log_set(SILENT, None)
    parameters = api.llama_model_default_params()
    parameters.n_gpu_layers, parameters.use_mmap = 0, False
    model = api.llama_model_load_from_file(str(path).encode(), parameters)
    assert model, f"llama.cpp does not open {path}"
    settings = api.llama_context_default_params()
    settings.n_ctx = settings.n_batch = settings.n_ubatch = len(ids)
    settings.type_k = settings.type_v = api.GGML_TYPE_F32
    settings.flash_attn_type = api.LLAMA_FLASH_ATTN_TYPE_DISABLED
    settings.n_threads = settings.n_threads_batch = 1
    context = api.llama_init_from_model(model, settings)
    assert context, f"llama.cpp does not run {path}"
    batch = api.llama_batch_init(len(ids), 0, 1)
    batch.n_tokens = len(ids)
    for i, token in enumerate(ids):
        batch.token[i], batch.pos[i] = token, i
        batch.n_seq_id[i], batch.seq_id[i][0], batch.logits[i] = 1, 0, True
    assert api.llama_decode(context, batch) == 0
    size = api.llama_vocab_n_tokens(api.llama_model_get_vocab(model))
    rows = [np.ctypeslib.as_array(api.llama_get_logits_ith(context, i), (size,)).copy()
            for i in range(len(ids))]  # fmt: skip
    api.llama_batch_free(batch)
    api.llama_free(context)
    api.llama_model_free(model)
    return np.stack(rows)


def metadata(reader, stubs):
    """[[key, type, value]...] of what says something of the model's graph."""
    pairs = []
    for key, field in reader.fields.items():
        if key in stubs or key.startswith("general.") and key != "general.architecture":
            continue
        types = [type.name for type in field.types]
        assert len(types) == 1 or types[-1] in ARRAYS, f"{key} is an array"
        kind = types[0] if len(types) == 1 else ARRAYS[types[-1]]
        pairs.append([key, kind, field.contents()])
    return pairs


def runs(places):
    """[(tensor, row)...] as [[tensor, first row, rows, 0]...]."""
    out = []
    for name, row in places:
        if out and out[-1][0] == name and out[-1][1] + out[-1][2] == row:
            out[-1][2] += 1
        else:
            out.append([name, row, 1, 0])
    return out


def without_interleaving(places, heads):
    half = len(places) // heads // 2
    split = [(head, part, i) for head in range(heads) for part in range(2) for i in range(half)]
    return [places[(head * half + i) * 2 + part] for head, part, i in split]


def runs_of_heads(places, heads):
    """The same, where what comes from one tensor may be one run of interleaved heads."""
    out = []
    for _, group in itertools.groupby(places, lambda place: place[0]):
        group = list(group)
        best = runs(group)
        for count in heads:
            if len(best) > 1 and len(group) % (2 * count) == 0:
                split = runs(without_interleaving(group, count))
                if len(split) == 1:
                    best = [[*split[0][:3], count]]
        out += best
    return out


def as_matrix(tensor):
    return tensor.reshape(-1, tensor.shape[-1]) if tensor.ndim > 2 else tensor


def of_matrix(value, tensors, transposed):
    """Where the rows of `value` come from, or None."""
    places = {}
    for name, tensor in tensors.items():
        if tensor.ndim >= 2:
            matrix = as_matrix(tensor)
            for row, values in enumerate(matrix.T if transposed else matrix):
                places.setdefault(values.tobytes(), (name, row))
    rows = value.reshape(-1, value.shape[-1])
    found = [places.get(row.tobytes()) for row in rows]
    return None if None in found else found


def of_vector(value, tensors):
    """Where the elements of `value` come from: whole vectors, or one in another order. Or None."""
    vectors = {name: tensor for name, tensor in tensors.items() if tensor.ndim == 1}
    found = []
    while len(found) < len(value):
        rest = value[len(found) :]
        fit = [n for n, vector in vectors.items() if np.array_equal(vector, rest[: len(vector)])]
        if not fit:
            break
        found += [(fit[0], i) for i in range(len(vectors[fit[0]]))]
    if len(found) == len(value):
        return found
    for name, vector in vectors.items():
        if np.array_equal(np.sort(vector), np.sort(value)):
            order = np.argsort(vector, kind="stable")[np.argsort(np.argsort(value, kind="stable"))]
            return [(name, int(i)) for i in order]
    return None


def recipe_of(name, value, tensors, heads):
    """How one tensor of the file is made: the shortest of the ways that there are."""
    about = {"shape": list(value.shape)}
    if name.startswith("rope_") or name.endswith(".ssm_a"):
        return about | {"values": value.ravel().tolist()}
    vector = name.endswith((".ssm_d", ".ssm_norm.weight"))  # though it has two dimensions
    if value.ndim > 1 and not vector:
        found = of_matrix(value, tensors, transposed=False)
        if found is None:
            found = of_matrix(value, tensors, transposed=True)
            about["transposed"] = True
        if found is None and value.ndim == 2:
            found = of_matrix(np.ascontiguousarray(value.T), tensors, transposed=True)
            about["columns"] = True
    else:
        value = value.ravel()
        found = of_vector(value, tensors)
        if found is None:
            found = of_vector(value, {key: t + np.float32(1) for key, t in tensors.items()})
            about["add"] = 1.0
    assert found is not None, f"{name} is made of nothing known"
    return about | {"of": runs_of_heads(found, heads)}


def make_tensor(about, tensors):
    """What tests/golden/family_gguf.cpp does."""
    if "values" in about:
        return np.array(about["values"], np.float32).reshape(about["shape"])
    sources = {name: as_matrix(tensors[name]) for name, *_ in about["of"]}
    if about.get("transposed"):
        sources = {name: tensor.T for name, tensor in sources.items()}
    parts = []
    for name, row, count, heads in about["of"]:
        rows = sources[name][row : row + count]
        if heads:
            shape, rows = rows.shape, rows.reshape(heads, 2, -1, *rows.shape[1:])
            rows = rows.swapaxes(1, 2).reshape(shape)
        parts.append(rows)
    made = np.concatenate(parts)
    made = made.T if about.get("columns") else made
    return (made + np.float32(about.get("add", 0))).reshape(about["shape"])


def reference(name, config, tensors, folder, ids, changes):
    """transformers' logits: the committed ones, or with what `changes` says."""
    if not changes:
        return np.load(FOLDER / name / "logits.npy")
    config = json.loads(json.dumps(config))
    for path, value in changes.items():
        references.change(config, path, value)
    model = references.load(config, folder, CASES[name].unused)
    return references.logits_of(model, ids).astype(np.float32)


def make(name, ids, fused):
    from gguf import GGUFReader

    config = json.loads((FOLDER / name / "config.json").read_text())
    values = references.generate(json.loads((FOLDER / name / "tensors.json").read_text()))
    tensors = {}
    for key, value in values.items():
        several = {f"{key}[{i}]": matrix for i, matrix in enumerate(value.numpy())}
        tensors |= several if value.ndim == 3 else {key: value.numpy()}
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        save_file(values, folder / "model.safetensors", {"format": "pt"})
        (folder / "config.json").write_text(json.dumps(config))
        stubs = convert(folder, folder / "model.gguf", name, fused)
        (folder / "tokenizer.json").unlink()
        reader = GGUFReader(folder / "model.gguf")
        logits = llama_cpp_logits(folder / "model.gguf", ids)
        says = reference(name, config, tensors, folder, ids, CHANGED.get(name))
        computes = says
        if name in NOT_COMPUTED:
            computes = reference(name, config, tensors, folder, ids, NOT_COMPUTED[name])
        keys = ("num_attention_heads", "num_key_value_heads", "n_head")
        heads = {config.get(key) for key in keys}
        made = {}
        for tensor in reader.tensors:
            value = np.array(tensor.data)
            made[tensor.name] = recipe_of(tensor.name, value, tensors, sorted(heads - {None}))
            assert np.array_equal(make_tensor(made[tensor.name], tensors), value), tensor.name
        pairs = metadata(reader, stubs)
    difference = float(np.abs(logits - computes).max() / computes.std())
    agree = int((logits.argmax(1) == computes.argmax(1)).sum())
    print(name, "fused" if fused else "", f"{difference:.3g} {agree}", flush=True)
    assert difference < MOST_DIFFERENCE, name

    lines = (f"{json.dumps(key)}: {json.dumps(value)}" for key, value in made.items())
    (FOLDER / name / ("gguf_fused.json" if fused else "gguf.json")).write_text(
        '{"metadata": [\n' + ",\n".join(json.dumps(pair) for pair in pairs)
        + '\n], "tensors": {\n' + ",\n".join(lines) + "\n}}\n")  # fmt: skip
    if CHANGED.get(name):
        np.save(FOLDER / name / "gguf_logits.npy", says)
    return {"largest_difference": float(f"{difference:.3g}"), "arg_max_agree": agree}


def main():
    import llama_cpp as llama_cpp_python

    llama_cpp, *names = sys.argv[1:]
    sys.path[:0] = [f"{llama_cpp}/gguf-py", llama_cpp]
    references.transformers.logging.set_verbosity_error()
    ids = json.loads((FOLDER / "tokens.json").read_text())
    path = FOLDER / "about_gguf.json"
    about = json.loads(path.read_text()) if path.exists() else {"cases": {}}
    for name in names or [name for name in CASES if name not in WITHOUT]:
        about["cases"][name] = make(name, ids, fused=False)
        if name in FUSED:
            about["cases"][f"{name}, fused"] = make(name, ids, fused=True)
    about["without"] = WITHOUT
    about["changed"], about["not_computed"] = CHANGED, NOT_COMPUTED
    about["versions"] = {
        package: version(package) for package in references.PACKAGES
    } | {"llama-cpp-python": llama_cpp_python.__version__}
    path.write_text(json.dumps(about, indent=2) + "\n")


if __name__ == "__main__":
    main()
