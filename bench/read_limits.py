"""The limits beside loading: how fast this machine reads the same files, by any means."""

import concurrent.futures
import json
import mmap
import os
import pathlib
import subprocess
import time

from load_bench import FIO_BLOCK, FIO_DEPTH

DEPTH_OF_ENGINES = {"io_uring": FIO_DEPTH, "libaio": FIO_DEPTH, "psync": 1}
BLOCK = 4 << 20


def fio_rates(files: list[pathlib.Path]) -> dict[str, float]:
    """Bytes a second past the page cache: each engine, files in order and all at once."""
    rates = {}
    for engine, depth in DEPTH_OF_ENGINES.items():
        common = ["--name=global", f"--ioengine={engine}", "--rw=read", "--direct=1", f"--bs={FIO_BLOCK}",
                  f"--iodepth={depth}", "--readonly", "--group_reporting",
                  "--output-format=json"]
        in_order = ["--name=all", "--filename=" + ":".join(map(str, files)),
                    "--file_service_type=sequential"]
        at_once = [part for file in files
                   for part in (f"--name={file.name}", f"--filename={file}")]
        for way, jobs in (("in order", in_order), ("at once", at_once)):
            done = subprocess.run(["fio", *common, *jobs], check=True, capture_output=True,
                                  text=True)
            read = json.loads(done.stdout)["jobs"][0]["read"]
            rates[f"{engine}, {way}"] = read["io_bytes"] / (read["runtime"] / 1000)
    return rates


def cached_rate(files: list[pathlib.Path], threads: int) -> float:
    """Bytes a second of cached files into memory that has been touched."""
    parts, size = [], 0
    for file in files:
        bytes_of_file = file.stat().st_size
        parts += [(file, offset, size + offset, min(BLOCK, bytes_of_file - offset))
                  for offset in range(0, bytes_of_file, BLOCK)]
        size += bytes_of_file
    with mmap.mmap(-1, size) as memory:
        memory.madvise(mmap.MADV_HUGEPAGE)
        for at in range(0, size, 4096):
            memory[at] = 1
        descriptors = {file: os.open(file, os.O_RDONLY) for file in files}

        def read(part: tuple) -> None:
            file, offset, to, length = part
            with memoryview(memory) as whole, whole[to:to + length] as place:
                if os.preadv(descriptors[file], [place], offset) != length:
                    raise OSError(f"{file}: short read at {offset}")

        with concurrent.futures.ThreadPoolExecutor(threads) as pool:
            begin = time.perf_counter()
            list(pool.map(read, parts))
            seconds = time.perf_counter() - begin
        for descriptor in descriptors.values():
            os.close(descriptor)
    return size / seconds
