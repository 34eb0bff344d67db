"""The seeds that are zip archives or pickles, for make_corpus.py: what torch.save and
torch.distributed.checkpoint write, their classes made up here, so that PyTorch need not be there.
"""

import collections
import io
import pathlib
import pickle
import struct
import sys
import types
import zipfile

METADATA = "torch.distributed.checkpoint.metadata"
CHUNK_BYTES = 1024  # where dcp_fuzz.cpp has the next chunk


def named(module, name, base=object):
    """A class that is pickled as `module.name`."""
    for end in [i for i, letter in enumerate(module + ".") if letter == "."]:
        sys.modules.setdefault(module[:end], types.ModuleType(module[:end]))
    made = type(name, (base,), {"__module__": module})
    setattr(sys.modules[module], name, made)
    return made


class Call:
    """Pickled as a call of `function`, with `state` for what it gives."""

    def __init__(self, function, *arguments, state=None):
        self.reduced = (function, arguments) + ((state,) if state is not None else ())

    def __reduce__(self):
        return self.reduced


class Storage:
    def __init__(self, kind, key, elements, *more):
        self.id = ("storage", kind, key, "cpu", elements, *more)


class Pickler(pickle.Pickler):
    def persistent_id(self, value):
        return value.id if isinstance(value, Storage) else None


REBUILD = {name: named("torch._utils", f"_rebuild_{name}") for name in
           ["tensor", "tensor_v2", "tensor_v3", "parameter"]}
FROM_TYPE = named("torch._tensor", "_rebuild_from_type_v2")
SIZE = named("torch", "Size", tuple)
BFLOAT16, FLOAT, BYTE = (named("torch", f"{kind}Storage") for kind in ["BFloat16", "Float", "Byte"])
UNTYPED = named("torch.storage", "UntypedStorage")
TENSOR = named("torch", "Tensor")


def dumps(value, protocol=2):
    out = io.BytesIO()
    Pickler(out, protocol).dump(value)
    return out.getvalue()


def tensor(storage, shape, strides, offset=0):
    return Call(REBUILD["tensor_v2"], storage, offset, tuple(shape), tuple(strides), False,
                collections.OrderedDict())


def archive(value, storages, protocol=2, byteorder=True):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as file:
        def member(name, content):
            info = zipfile.ZipInfo(f"archive/{name}", (1980, 1, 1, 0, 0, 0))
            file.writestr(info, content)
        member("data.pkl", dumps(value, protocol))
        if byteorder:
            member("byteorder", "little")
        for key, content in storages.items():
            member(f"data/{key}", content)
        member("version", "3\n")
    return out.getvalue()


def legacy(value, storages):
    """`storages`: key to (elements, bytes)."""
    machine = {"protocol_version": 1001, "little_endian": True,
               "type_sizes": {"short": 2, "int": 4, "long": 4}}
    pickles = [0x1950A86A20F9469CFC6C, 1001, machine, value, sorted(storages)]
    content = b"".join(dumps(part) for part in pickles)
    for _, (elements, data) in sorted(storages.items()):
        content += struct.pack("<Q", elements) + data
    return content


def model(*of_storages):
    """A state dict that ties a table, and its storages."""
    table, norm = Storage(BFLOAT16, "0", 24, *of_storages), Storage(FLOAT, "1", 8, *of_storages)
    state = collections.OrderedDict()
    state["model.embed_tokens.weight"] = tensor(table, [3, 8], [8, 1])
    state["model.norm.weight"] = tensor(norm, [8], [1])
    state["lm_head.weight"] = tensor(table, [3, 8], [8, 1])
    return state, {"0": bytes(48), "1": bytes(32)}


def views():
    """Every call that makes a tensor, and what lies beside tensors."""
    storage = Storage(BFLOAT16, "0", 24)
    return {
        "transposed": tensor(storage, [8, 3], [1, 8]),
        "every_other": tensor(storage, [3, 4], [8, 2], 1),
        "repeated": tensor(storage, [4, 8], [0, 1]),
        "scalar": tensor(storage, [], [], 23),
        "empty": tensor(storage, [0, 8], [8, 1]),
        "model": {"layers": [{"w": tensor(storage, [2], [1])}, (1, 2.5, None, True, 1 << 70)]},
        "parameter": Call(REBUILD["parameter"], tensor(storage, [8], [1]), True,
                          collections.OrderedDict()),
        "old": Call(REBUILD["tensor"], storage, 0, (4,), (1,)),
        "new": Call(REBUILD["tensor_v3"], Storage(UNTYPED, "1", 32), 0, (8,), (1,), False,
                    collections.OrderedDict(), named("torch", "float32")),
        "subclass": Call(FROM_TYPE, REBUILD["tensor_v2"], TENSOR,
                         tensor(storage, [8], [1]).reduced[1], {}),
    }, {"0": bytes(48), "1": bytes(32)}


def write_torch(write):
    state, storages = model()
    strange, more = views()
    sizes = {"0": (24, bytes(48)), "1": (8, bytes(32))}
    write("pickle", "state_dict", dumps(state))
    write("pickle", "views", dumps(strange))
    for protocol in [2, 3, 4, 5]:
        write("pickle", f"protocol_{protocol}", dumps({
            "w": tensor(Storage(BYTE, "0", 9), [3, 3], [3, 1]), "size": SIZE((1, 300, 70000)),
            "numbers": [0, -1, 1 << 40, 1 << 80, 0.5], "text": "\u00e4" * 3} | (
                {"set": {1, 2}, "bytes": b"x"} if protocol >= 4 else {}), protocol))
    write("torch_file", "archive", archive(state, storages))
    write("torch_file", "views", archive(strange, more))
    write("torch_file", "protocol_4", archive(state, storages, 4, byteorder=False))
    write("torch_file", "legacy", legacy(model(None)[0], sizes))


def write_zip(write):
    for name, comment, members in [("empty", b"", 0), ("comment", b"a comment", 1),
                                   ("members", b"", 4)]:
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w") as file:
            file.comment = comment
            for i in range(members):
                info = zipfile.ZipInfo(f"folder/{i}", (1980, 1, 1, 0, 0, 0))
                with file.open(info, "w", force_zip64=i % 2 == 1) as member:
                    member.write(bytes(10 * i))
        write("zip", name, out.getvalue())
    # As torch.save writes it: with a zip64 end record, sizes behind the data, and padding.
    local = struct.pack("<4sHHHIIIIHH", b"PK\3\4", 0, 8, 0, 0, 0, 0, 0, 1, 13) + b"a"
    local += b"FB" + struct.pack("<H", 9) + b"ZZZZZZZZZ" + bytes(20) + b"PK\7\x08"
    local += struct.pack("<III", 0, 20, 20)
    extra = struct.pack("<HHQQQ", 1, 24, 20, 20, 0)
    entry = struct.pack("<4sHHHHIIIIHHHHHII", b"PK\1\2", 0, 0, 8, 0, 0, 0, 2**32 - 1, 2**32 - 1, 1,
                        len(extra), 0, 0, 0, 0, 2**32 - 1) + b"a" + extra
    end = len(local) + len(entry)
    write("zip", "zip64", local + entry + struct.pack(
        "<4sQHHIIQQQQ4sIQI4sHHHHIIH", b"PK\6\6", 44, 0, 0, 0, 0, 1, 1, len(entry), len(local),
        b"PK\6\7", 0, end, 1, b"PK\5\6", 0, 0, 2**16 - 1, 2**16 - 1, 2**32 - 1, 2**32 - 1, 0))


# Distributed checkpoints.


def record(kind, **fields):
    made = kind()
    made.__dict__.update(fields)
    return made


def write_dcp(write):
    metadata, stored_tensor, stored_bytes, chunk, index, properties, encoding, meta = (
        named(METADATA, name) for name in [
            "Metadata", "TensorStorageMetadata", "BytesStorageMetadata", "ChunkStorageMetadata",
            "MetadataIndex", "TensorProperties", "_MEM_FORMAT_ENCODING", "StorageMeta"])
    info = named("torch.distributed.checkpoint.filesystem", "_StorageInfo")
    layout = named("torch.serialization", "_get_layout")
    kind = named("torch", "float32")

    def tensor_metadata(shape, boxes):
        state = (kind, Call(layout, "torch.strided"), False, Call(encoding, 0), False)
        return record(
            stored_tensor, properties=Call(properties, state=state), size=SIZE(shape),
            chunks=[record(chunk, offsets=SIZE(offsets), sizes=SIZE(sizes))
                    for offsets, sizes in boxes])

    def place(name, offsets, number, **more):
        key = record(index, fqn=name, offset=SIZE(offsets), index=0)
        return key, record(info, relative_path="__0_0.distcp", offset=number * CHUNK_BYTES,
                           length=CHUNK_BYTES, **more)

    def content(tensors, places, protocol=4, **more):
        return dumps(record(metadata, state_dict_metadata=tensors, planner_data=None,
                            storage_data=dict(places), **more), protocol)

    matrix = tensor_metadata([5, 4], [([0, 0], [2, 4]), ([2, 0], [2, 4]), ([4, 0], [1, 4])])
    rows = [place("w", [2 * i, 0], i) for i in range(3)]
    norm = tensor_metadata([3], [([0], [3])])
    write("dcp", "rows", content({"w": matrix, "norm": norm}, rows + [place("norm", [0], 3)]))
    write("dcp", "columns", content(
        {"w": tensor_metadata([2, 8], [([0, 0], [2, 4]), ([0, 4], [2, 4])])},
        [place("w", [0, 0], 0), place("w", [0, 4], 1, transform_descriptors=None)], 2))
    saved = record(meta, checkpoint_id=pathlib.PosixPath("d"), save_id="a", load_id=None)
    step = (record(index, fqn="step", offset=None, index=None),
            record(info, relative_path="__0_0.distcp", offset=0, length=9))
    write("dcp", "more", content(
        {"step": record(stored_bytes), "empty": tensor_metadata([0, 4], [([0, 0], [0, 4])]),
         "norm": norm}, [step, place("norm", [0], 3)], storage_meta=saved, version="1.0.0"))
