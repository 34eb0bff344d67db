"""One checkpoint in the form that each peer reads: the same weights, bit for bit."""

import pathlib
import shutil

import torch
import torch.distributed.checkpoint as dcp
from safetensors.torch import load_file

from gguf_of_model import write_gguf

FORMS = ("safetensors", "pytorch", "dcp", "gguf")


def write_forms(model: pathlib.Path, folder: pathlib.Path) -> dict[str, pathlib.Path]:
    """The directory of each form; those that are there are kept."""
    writers = {"pytorch": write_pytorch, "dcp": write_dcp,
               "gguf": lambda source, to: write_gguf(source, to / "model.gguf", "BF16")}
    directories = {"safetensors": model}
    for form, write in writers.items():
        directories[form] = folder / f"{model.name}-{form}"
        if directories[form].exists():
            continue
        part = folder / f"{model.name}-{form}.part"
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)
        for name in ("config.json", "tokenizer.json"):
            shutil.copy(model / name, part)
        write(model, part)
        part.rename(directories[form])
    return directories


def state_dict(model: pathlib.Path) -> dict[str, torch.Tensor]:
    tensors = {}
    for file in sorted(model.glob("*.safetensors")):
        tensors |= load_file(file)
    return tensors


def write_pytorch(model: pathlib.Path, to: pathlib.Path) -> None:
    torch.save(state_dict(model), to / "pytorch_model.bin")


def write_dcp(model: pathlib.Path, to: pathlib.Path) -> None:
    dcp.save(state_dict(model), checkpoint_id=to, no_dist=True)


def weight_files(directory: pathlib.Path) -> list[pathlib.Path]:
    """What is dropped from the page cache, or read into it."""
    return sorted(file for file in directory.iterdir()
                  if file.suffix in (".safetensors", ".bin", ".distcp", ".gguf"))
