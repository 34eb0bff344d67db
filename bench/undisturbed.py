"""Whether a run had the machine to itself, so that it can be taken again where it had not."""

import os
import pathlib
import threading
import time

BEAT = 0.05            # seconds between looks at the clock
LONGEST_PAUSE = 0.5    # seconds without a beat: this process was stopped, or the whole machine
OTHERS_AT_MOST = 0.1   # of the run's time on one core, and
OTHERS_AT_LEAST = 0.1  # seconds, below which others do not count


def busy_seconds() -> float:
    """Of all processors since boot; what the host took of a virtual machine is not in it."""
    user, nice, system, _, _, irq, softirq = map(
        int, pathlib.Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:8])
    return (user + nice + system + irq + softirq) / os.sysconf("SC_CLK_TCK")


def own_seconds() -> float:
    """Of this process and of those that it has waited for."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


class Undisturbed:
    """From entering to leaving; then `disturbed` is a reason, or empty."""

    def __enter__(self):
        self.disturbed = ""
        self._pause = 0.0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._beat)
        self._thread.start()
        self._begin = time.monotonic()
        self._others = busy_seconds() - own_seconds()
        return self

    def __exit__(self, *_):
        others = busy_seconds() - own_seconds() - self._others
        seconds = time.monotonic() - self._begin
        self._stop.set()
        self._thread.join()
        if self._pause > LONGEST_PAUSE:
            self.disturbed = f"stopped for {self._pause:.1f} s"
        elif others > max(OTHERS_AT_LEAST, OTHERS_AT_MOST * seconds):
            self.disturbed = f"others computed for {others:.1f} s of {seconds:.1f} s"

    def _beat(self) -> None:
        last = time.monotonic()
        while not self._stop.wait(BEAT):
            now = time.monotonic()
            self._pause = max(self._pause, now - last)
            last = now
