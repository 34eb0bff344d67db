"""Pickles that run code when they are unpickled, for make_checkpoint_references.py. What they run
only creates the file that the environment variable INITRT_HOSTILE names."""

import builtins
import importlib
import os
import pickle

import torch

COMMAND = 'touch "${INITRT_HOSTILE:-/dev/null}"'
EXPRESSION = "open(__import__('os').environ.get('INITRT_HOSTILE', '/dev/null'), 'a').close()"


class Call:
    """Pickled as a call of `function`, which may itself be a Call."""

    def __init__(self, function, *arguments):
        self.function = function
        self.arguments = arguments

    def __call__(self):
        raise AssertionError("only unpickling calls it")

    def __reduce__(self):
        return self.function, self.arguments


def write(folder):
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {name: torch.arange(4, dtype=torch.bfloat16) for name in ("first", "second")}
    by_name = Call(getattr, Call(importlib.import_module, "os"), "system")
    torch.save(Call(os.system, COMMAND), folder / "os_system.pth")
    torch.save(Call(builtins.eval, EXPRESSION), folder / "eval.pth")
    torch.save(Call(by_name, COMMAND), folder / "nested_reduce.pth")
    torch.save(tensors | {"third": Call(os.system, COMMAND)}, folder / "after_tensors.pth")
    # The legacy form, without storages: their keys would be addresses.
    torch.save(
        {"step": 1, "state": Call(os.system, COMMAND)},
        folder / "legacy.pth",
        _use_new_zipfile_serialization=False,
    )
    (folder / "pickle.bin").write_bytes(pickle.dumps(Call(os.system, COMMAND), protocol=2))
    (folder / "dcp").mkdir(exist_ok=True)
    (folder / "dcp" / ".metadata").write_bytes(pickle.dumps(Call(os.system, COMMAND)))
