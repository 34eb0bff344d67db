"""The rows of compare.py: what is run for each, and how its figures are read."""

import dataclasses
import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import time

from load_bench import MPI_ENVIRONMENT
from process_memory import MemorySampler

PEERS = pathlib.Path(__file__).parent / "peers"
sys.path.append(str(PEERS))
from peer import PROMPT  # noqa: E402

TIMEOUT = 300  # seconds of one run


@dataclasses.dataclass(frozen=True)
class Row:
    """A way to load. A peer's script is in peers/; without one it is initrt."""
    name: str
    script: str = ""
    way: tuple[str, ...] = ()       # initrt: quantize
    form: str = "safetensors"
    ranks: int = 1
    few_tokens: bool = False        # decodes so slowly that 4 say as much
    takes: float = 2.25             # memory, of the weights' bytes, at most and about
    step: str = ""                  # of the first figure, from plain construction to shards


ROWS = (
    Row("torch, module built in float32", "torch_load.py", ("plain",), "pytorch", takes=3.25,
        step="plain"),
    Row("torch, meta device and assign", "torch_load.py", ("device",), "pytorch",
        step="device context"),
    Row("Lightning Fabric, init_module", "fabric_load.py", ("init_module",), "pytorch",
        step="init_module"),
    Row("Lightning Fabric, empty_init and lazy load", "fabric_load.py", ("lazy",), "pytorch",
        step="lazy"),
    Row("FSDP2 and DCP over gloo, 2 ranks", "fsdp2_load.py", (), "dcp", ranks=2, few_tokens=True,
        step="sharded: FSDP2, 2 ranks"),
    Row("transformers", "transformers_load.py", ("none",)),
    Row("transformers, bitsandbytes llm.int8", "transformers_load.py", ("llm.int8",),
        few_tokens=True),
    Row("accelerate dispatch", "accelerate_load.py"),
    Row("safetensors", "safetensors_load.py", ("mmap",)),
    Row("safetensors, pread", "safetensors_load.py", ("pread",)),
    Row("fastsafetensors", "fastsafetensors_load.py"),
    Row("Run:ai model streamer", "model_streamer_load.py"),
    Row("llama.cpp", "llama_cpp_load.py", ("read",), "gguf"),
    Row("llama.cpp, mmap", "llama_cpp_load.py", ("mmap",), "gguf"),
    Row("initrt", way=("none",), step="initrt, 1 rank"),
    Row("initrt, 2 ranks", way=("none",), ranks=2, step="sharded: initrt, 2 ranks"),
    Row("initrt, llm.int8", way=("llm.int8",)),
)


@dataclasses.dataclass(frozen=True)
class Setting:
    """What all rows of a run have in common."""
    directories: dict[str, pathlib.Path]  # by form
    initrt: str
    threads: int
    new_tokens: int


def run(row: Row, setting: Setting, new_tokens: int, check: bool) -> dict:
    """One process's figures: seconds and bytes; "error" alone where it ends in one.

    check: memory is sampled, and what was loaded is compared (peer.py's checksum); it costs time.
    """
    if row.few_tokens:
        new_tokens = min(new_tokens, 4)
    measure = peer_figures if row.script else initrt_figures
    try:
        return measure(row, setting, new_tokens, check)
    except (RuntimeError, subprocess.TimeoutExpired, OSError) as error:
        return {"error": without_paths(str(error), setting)}


def without_paths(text: str, setting: Setting) -> str:
    """Results say nothing of where things lie on a machine."""
    for path in (*setting.directories.values(), PEERS.resolve(), sys.prefix):
        text = text.replace(str(path), pathlib.Path(path).name)
    return text


def measured(command: list, threads: int, check: bool) -> tuple[str, float, float, dict]:
    """Standard output, when it was started (time.monotonic()), seconds, and sampled memory."""
    environment = os.environ | MPI_ENVIRONMENT | {"OMP_NUM_THREADS": str(threads),
                                                  "TOKENIZERS_PARALLELISM": "false"}
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        begin = time.monotonic()
        process = subprocess.Popen([str(part) for part in command], stdout=out, stderr=err,
                                   env=environment, start_new_session=True)
        memory = {}
        try:
            if check:
                with MemorySampler(process.pid) as sampler:
                    process.wait(TIMEOUT)
                memory = {"pss_bytes": sampler.of_a_process, "pss_bytes_of_all": sampler.of_all}
            else:
                process.wait(TIMEOUT)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)  # with the ranks that it started
                process.wait()
        seconds = time.monotonic() - begin
        out.seek(0)
        err.seek(0)
        if process.returncode != 0:
            raise RuntimeError(reason(err.read(), process.returncode))
        return out.read(), begin, seconds, memory


def reason(errors: str, status: int) -> str:
    """The line of standard error that says most: an exception's, or the last."""
    lines = [line.strip() for line in errors.splitlines() if line.strip()]
    exceptions = [line for line in lines if "Error: " in line.split(" ", 1)[0] + " "]
    return (exceptions or lines or [f"exit status {status}"])[-1][:300]


def peer_figures(row: Row, setting: Setting, new_tokens: int, check: bool) -> dict:
    threads = max(1, setting.threads // row.ranks)
    start = [sys.executable]
    if row.ranks > 1:
        start += ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", row.ranks]
    out, begin, _, memory = measured(
        [*start, PEERS / row.script, setting.directories[row.form], *row.way, "--threads", threads,
         "--new-tokens", new_tokens, *(["--check"] if check else [])], threads, check)
    figures = json.loads(out.splitlines()[-1])
    figures["process_seconds"] = figures.pop("loaded_at") - begin
    if "first_token_at" in figures:
        figures["first_token_seconds"] = figures.pop("first_token_at") - begin
    return figures | memory


def initrt_figures(row: Row, setting: Setting, new_tokens: int, check: bool) -> dict:
    """Its clock begins with loading; what the process took before and after counts as start-up."""
    threads = max(1, setting.threads // row.ranks)
    with tempfile.TemporaryDirectory() as directory:
        path = pathlib.Path(directory) / "report.json"
        command = [setting.initrt, "--set", f"model={setting.directories[row.form]}",
                   "--set", f"generate.prompt={PROMPT}", "--set", "generate.ignore_eos=true",
                   "--set", f"generate.max_new_tokens={new_tokens}", "--set", "precision=bf16-true", "--set", f"quantize={row.way[0]}",
                   "--set", f"threads={threads}", "--progress", "off", "--report", path]
        if check:
            command += ["--set", "generate.logprobs=1"]  # makes the answer JSON, with ids
        if row.ranks > 1:
            command = ["mpirun", "-np", row.ranks, *command]
        out, _, seconds, memory = measured(command, threads, check)
        report = json.loads(path.read_text())
    load, generate = report["load"], report["generate"]
    start_up = seconds - generate["seconds"]
    figures = {"load_seconds": load["seconds"], "process_seconds": start_up + load["seconds"],
               "first_token_seconds": start_up + generate["first_token_seconds"],
               "peak_bytes": report["memory"]["process"]["max"]}
    if check:
        figures["first_token"] = json.loads(out)["tokens"][0]
    if new_tokens > 1:
        figures["tokens_per_second"] = generate["tokens_per_second"]
    return figures | memory
