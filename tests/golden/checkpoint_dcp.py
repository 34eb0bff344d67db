"""torch.distributed.checkpoint from gloo processes, for make_checkpoint_references.py."""

import os
import tempfile
import uuid
from pathlib import Path

import torch
import torch.distributed as dist
import torch.distributed.checkpoint
import torch.multiprocessing
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.tensor import Replicate, Shard, distribute_tensor


def save(state, folder):
    """Neither the path nor the random number that a save is labelled with gets into the files."""
    uuid.uuid4 = lambda: uuid.UUID(int=dist.get_rank())
    os.chdir(folder)
    dist.checkpoint.save(state, checkpoint_id=".")


def flat_rank(model, folder):
    mesh = init_device_mesh("cpu", (dist.get_world_size(),))
    tensors = model.tensors().items()
    save({name: distribute_tensor(tensor, mesh, [Shard(0)]) for name, tensor in tensors}, folder)


def placements(name, tensor):
    """On (data parallel, tensor parallel): the second cuts O, down and the embedding by columns."""
    if tensor.dim() == 1:
        return [Shard(0), Replicate()]
    if any(part in name for part in ("o_proj", "down_proj", "embed_tokens")):
        return [Shard(0), Shard(1)]
    return [Shard(0), Shard(0)]


def nested_rank(model, folder):
    mesh = init_device_mesh("cpu", (2, 2), mesh_dim_names=("dp", "tp"))
    weights = {}
    optimizer = {}
    for name, tensor in model.tensors().items():
        weights[name] = distribute_tensor(tensor, mesh, placements(name, tensor))
        if "layers.0" in name and "proj" in name:
            step, average = torch.tensor(7.0), torch.zeros_like(weights[name])
            optimizer[name] = {"step": step, "exp_avg": average}
    groups = [{"lr": 1e-4, "params": list(optimizer)}]
    optimizer = {"state": optimizer, "param_groups": groups}
    save({"model": weights, "optim": optimizer, "step": 7}, folder)


def run_rank(rank, world, rendezvous, work, model, folder):
    dist.init_process_group("gloo", init_method=rendezvous, rank=rank, world_size=world)
    work(model, folder)
    dist.destroy_process_group()


def run_world(world, work, model, folder):
    model.config().save_pretrained(folder)
    with tempfile.TemporaryDirectory() as place:
        rendezvous = (Path(place) / "rendezvous").as_uri()
        arguments = (world, rendezvous, work, model, folder.resolve())
        torch.multiprocessing.spawn(run_rank, arguments, nprocs=world)


def flat(model, folder):
    run_world(3, flat_rank, model, folder)


def nested(model, folder):
    run_world(4, nested_rank, model, folder)
