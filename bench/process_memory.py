"""The most memory that the processes of a command held, sampled while it runs."""

import pathlib
import threading

PERIOD = 0.02  # seconds


def descendants(pid: int) -> list[int]:
    """With the process itself; those that have ended meanwhile are left out."""
    pids = [pid]
    for task in pathlib.Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            pids += [one for child in task.read_text().split() for one in descendants(int(child))]
        except OSError:
            continue
    return pids


def pss(pid: int) -> int:
    """Proportional set size in bytes: a page that n processes share counts 1/n in each."""
    try:
        text = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in text.splitlines()
                 if line.startswith("Pss:")), 0)


class MemorySampler:
    """From entering to leaving: the largest process's peak, and all processes' together."""

    def __init__(self, pid: int):
        self.of_a_process = 0
        self.of_all = 0
        self._pid = pid
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._sample)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        self._thread.join()

    def _sample(self) -> None:
        while not self._stop.wait(PERIOD):
            sizes = [pss(pid) for pid in descendants(self._pid)]
            self.of_a_process = max(self.of_a_process, *sizes)
            self.of_all = max(self.of_all, sum(sizes))
