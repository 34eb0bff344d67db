"""One function per checkpoint format of make_checkpoint_references.py: (model, folder) to files.

Layouts are those of the programs named in each docstring; `checkpoint_checks.py` undoes them by
other means.
"""

import json
from collections import OrderedDict

import gguf as gguf_library
import torch

from checkpoint_model import CONTEXT, EPSILON, THETA

DTYPE_NAMES = {torch.bfloat16: "bfloat16", torch.float16: "float16"}


def write_json(path, value):
    path.write_text(json.dumps(value, indent=2) + "\n")


def write_old_config(model, folder):
    """config.json as transformers 4 wrote it: rope_theta and torch_dtype."""
    config = {
        "architectures": ["LlamaForCausalLM"],
        "attention_bias": False,
        "bos_token_id": 1,
        "eos_token_id": 2,
        "hidden_act": "silu",
        "hidden_size": model.hidden,
        "initializer_range": 0.02,
        "intermediate_size": model.intermediate,
        "max_position_embeddings": CONTEXT,
        "model_type": "llama",
        "num_attention_heads": model.heads,
        "num_hidden_layers": model.layers,
        "num_key_value_heads": model.kv_heads,
        "pretraining_tp": 1,
        "rms_norm_eps": EPSILON,
        "rope_scaling": None,
        "rope_theta": THETA,
        "tie_word_embeddings": model.tied,
        "torch_dtype": DTYPE_NAMES[model.dtype],
        "transformers_version": "4.35.0",
        "use_cache": True,
        "vocab_size": model.vocabulary,
    }
    write_json(folder / "config.json", config)


def hf(model, folder, **options):
    model.module().save_pretrained(folder, **options)
    (folder / "generation_config.json").unlink()


def hf_sharded(model, folder):
    hf(model, folder, max_shard_size="17KB")
    assert len(list(folder.glob("*.safetensors"))) == 3


def bin(model, folder):
    """An OrderedDict with `_metadata`, as Module.state_dict() gives it."""
    write_old_config(model, folder)
    torch.save(model.module().state_dict(), folder / "pytorch_model.bin")


def bin_sharded(model, folder):
    write_old_config(model, folder)
    tensors = model.tensors()
    names = list(tensors)
    cut = len(names) // 2
    weight_map = {}
    for i, part in enumerate([names[:cut], names[cut:]]):
        file = f"pytorch_model-{i + 1:05}-of-00002.bin"
        torch.save({name: tensors[name] for name in part}, folder / file)
        weight_map |= dict.fromkeys(part, file)
    size = sum(tensor.nbytes for tensor in tensors.values())
    index = {"metadata": {"total_size": size}, "weight_map": dict(sorted(weight_map.items()))}
    write_json(folder / "pytorch_model.bin.index.json", index)


def bin_legacy(model, folder):
    """Storages follow one another by their keys, which are their addresses as strings: here the
    last tensor's first, and then the addresses are replaced by numbers that sort as they did."""
    write_old_config(model, folder)
    state = model.module().state_dict()
    storages = [torch.UntypedStorage(0) for _ in state]
    storages.sort(key=lambda storage: str(storage._cdata), reverse=True)
    for (name, tensor), storage in zip(list(state.items()), storages):
        storage.resize_(tensor.nbytes)
        state[name] = torch.empty(0, dtype=model.dtype).set_(storage, 0, tensor.shape).copy_(tensor)
    path = folder / "pytorch_model.bin"
    torch.save(state, path, _use_new_zipfile_serialization=False)
    content = path.read_bytes()
    for i, storage in enumerate(reversed(storages)):
        address = str(storage._cdata)
        assert content.count(address.encode()) == 2
        content = content.replace(address.encode(), f"1{i:0{len(address) - 1}}".encode())
    path.write_bytes(content)


def bin_views(model, folder):
    write_old_config(model, folder)
    tensors = model.tensors()
    state = OrderedDict()
    norms = torch.cat([tensor for tensor in tensors.values() if tensor.dim() == 1])
    norms = iter(norms.split(model.hidden))
    for name, tensor in tensors.items():
        rows = tensor.shape[0]
        columns = tensor.shape[-1]
        filled = lambda *shape: torch.full(shape, 7.0, dtype=model.dtype)  # noqa: E731
        if tensor.dim() == 1:
            state[name] = next(norms)
        elif "q_proj" in name or "lm_head" in name:
            state[name] = tensor.t().contiguous().t()
        elif "k_proj" in name:
            state[name] = filled(2 * rows + 1, columns)[1::2].copy_(tensor)
        elif "v_proj" in name:
            state[name] = filled(rows + 3, 2 * columns)[2:-1, 1::2].copy_(tensor)
        elif "o_proj" in name:
            state[name] = filled(2 * columns, rows + 1)[::2, 1:].t().copy_(tensor)
        elif "gate_proj" in name:
            both = torch.cat([tensor, tensors[name.replace("gate", "up")]])
            state[name], state[name.replace("gate", "up")] = both.split(rows)
        elif "down_proj" in name:
            state[name] = filled(rows, columns + 5)[:, 3:-2].copy_(tensor)
        elif "embed_tokens" in name:
            view = filled(rows + 2, columns)[2:].copy_(tensor)
            state[name] = torch.nn.Parameter(view)
    frequencies = THETA ** -(torch.arange(0, model.head_size, 2) / model.head_size)
    for layer in range(model.layers):
        state[f"model.layers.{layer}.self_attn.rotary_emb.inv_freq"] = frequencies.clone()
    torch.save(state, folder / "pytorch_model.bin")


def interleaved(tensor, heads):
    """Rows of Q or K in Meta's order: of each head, row (half, i) goes to row 2 i + half."""
    size = tensor.shape[0] // heads
    source = [
        head * size + half * (size // 2) + i
        for head in range(heads)
        for i in range(size // 2)
        for half in range(2)
    ]
    return tensor[source]


META_NAMES = {
    "self_attn.q_proj": "attention.wq",
    "self_attn.k_proj": "attention.wk",
    "self_attn.v_proj": "attention.wv",
    "self_attn.o_proj": "attention.wo",
    "mlp.gate_proj": "feed_forward.w1",
    "mlp.down_proj": "feed_forward.w2",
    "mlp.up_proj": "feed_forward.w3",
    "input_layernorm": "attention_norm",
    "post_attention_layernorm": "ffn_norm",
    "embed_tokens": "tok_embeddings",
    "lm_head": "output",
}
GGUF_NAMES = {
    "model.layers": "blk",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.down_proj": "ffn_down",
    "mlp.up_proj": "ffn_up",
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
    "model.embed_tokens": "token_embd",
    "model.norm": "output_norm",
    "lm_head": "output",
}


def renamed(name, names):
    for old in sorted(names, key=len, reverse=True):
        name = name.replace(old, names[old])
    return name.removeprefix("model.")


def interleaved_where_rotary(model, name, tensor):
    if "q_proj" in name:
        return interleaved(tensor, model.heads)
    if "k_proj" in name:
        return interleaved(tensor, model.kv_heads)
    return tensor


def write_meta(model, folder, embedding_cut, parameters):
    """Fairscale's two model parallel ranks: ColumnParallelLinear is cut along its rows (outputs),
    RowParallelLinear along its columns."""
    cuts = {"wo.": 1, "w2.": 1, "tok_embeddings.": embedding_cut, "norm.": None}
    ranks = [{}, {}]
    for name, tensor in model.tensors().items():
        tensor = interleaved_where_rotary(model, name, tensor)
        name = renamed(name, META_NAMES)
        cut = next((cut for part, cut in cuts.items() if part in name), 0)
        parts = [tensor, tensor] if cut is None else tensor.chunk(2, dim=cut)
        for rank, part in zip(ranks, parts):
            rank[name] = part.clone(memory_format=torch.contiguous_format)
    frequencies = THETA ** -(torch.arange(0, model.head_size, 2) / model.head_size)
    for i, rank in enumerate(ranks):
        rank["rope.freqs"] = frequencies.to(model.dtype)
        torch.save(rank, folder / f"consolidated.{i:02}.pth")
    common = {
        "dim": model.hidden,
        "n_layers": model.layers,
        "n_heads": model.heads,
        "n_kv_heads": model.kv_heads,
        # int(0.5 * int(2 * 4 * 32 / 3)) = 42, up to a multiple of 16: 48.
        "multiple_of": 16,
        "ffn_dim_multiplier": 0.5,
        "norm_eps": EPSILON,
    }
    (folder / "params.json").write_text(json.dumps(common | parameters))


def meta(model, folder):
    """LLaMA 1 and 2 (ParallelEmbedding); Meta's own files give no vocabulary size."""
    write_meta(model, folder, embedding_cut=1, parameters={"vocab_size": -1})


def meta3(model, folder):
    """Llama 3 (VocabParallelEmbedding)."""
    parameters = {"vocab_size": model.vocabulary, "rope_theta": THETA}
    write_meta(model, folder, embedding_cut=0, parameters=parameters)


def write_gguf(model, folder, **options):
    """As llama.cpp's converter: rotary rows of Q and K interleaved, norms in F32."""
    kind = {
        torch.bfloat16: gguf_library.GGMLQuantizationType.BF16,
        torch.float16: gguf_library.GGMLQuantizationType.F16,
    }[model.dtype]
    file_type = {
        torch.bfloat16: gguf_library.LlamaFileType.MOSTLY_BF16,
        torch.float16: gguf_library.LlamaFileType.MOSTLY_F16,
    }[model.dtype]
    writer = gguf_library.GGUFWriter(folder / "model.gguf", "llama", **options)
    writer.add_name("Tiny")
    writer.add_file_type(file_type)
    writer.add_block_count(model.layers)
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(model.hidden)
    writer.add_feed_forward_length(model.intermediate)
    writer.add_head_count(model.heads)
    writer.add_head_count_kv(model.kv_heads)
    writer.add_layer_norm_rms_eps(EPSILON)
    writer.add_rope_dimension_count(model.head_size)
    writer.add_rope_freq_base(THETA)
    writer.add_vocab_size(model.vocabulary)
    for name, tensor in model.tensors().items():
        values = interleaved_where_rotary(model, name, tensor).float().numpy()
        name = renamed(name, GGUF_NAMES)
        if tensor.dim() == 1:
            writer.add_tensor(name, values)
        else:
            writer.add_tensor(name, gguf_library.quants.quantize(values, kind), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def gguf(model, folder):
    write_gguf(model, folder)


def gguf_split(model, folder):
    write_gguf(model, folder, split_max_tensors=7)
    assert len(list(folder.glob("*.gguf"))) == 3
