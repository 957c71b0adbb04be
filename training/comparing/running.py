"""Run the entries of a comparison, each in a process of its own, several at a time.

A failed entry is told and left; the others go on.
"""

import subprocess
import sys
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from training.comparing.entry import Entry

LOG = "worker.log"
STOP_S = 20.0
"""A worker that is asked to stop gets so long to end its step."""


class Runner:
    """Runs entries; `failures` tells which did not end well, and why."""

    def __init__(self, data: Path, split: str) -> None:
        self._data = data
        self._split = split
        self._workers: set[subprocess.Popen[str]] = set()
        self._lock = threading.Lock()
        self._is_over = False
        self.failures: dict[str, str] = {}

    def run(self, entries: Sequence[Entry], *, at_once: int) -> None:
        """Run all entries that are not done, `at_once` at a time.

        Raises:
            KeyboardInterrupt: stopped by the user; each worker keeps its last whole epoch.
            TrainingError: an entry's folder holds another run, or cannot be written.
        """
        for entry in entries:
            entry.request()
        waiting = [entry for entry in entries if not entry.is_done]
        print(f"{len(entries) - len(waiting)} of {len(entries)} runs are done", flush=True)
        with ThreadPoolExecutor(at_once, thread_name_prefix="compare") as pool:
            try:
                for _ in pool.map(self._run_one, waiting):
                    pass
            except BaseException:
                self._stop()
                raise

    def _run_one(self, entry: Entry) -> None:
        name = entry.folder.name
        command = [sys.executable, "-m", "training.comparing.worker"]
        last = ""
        with (entry.folder / LOG).open("a", encoding="utf-8") as log:
            with self._lock:
                if self._is_over:
                    return
                worker = subprocess.Popen(  # noqa: S603 - our own module
                    [*command, str(entry.folder), str(self._data), self._split],
                    stdout=subprocess.PIPE,
                    stderr=log,
                    text=True,
                )
                self._workers.add(worker)
            with worker:
                for line in worker.stdout or ():
                    last = line.strip()
                    print(f"{name}: {last}", flush=True)
            code = worker.returncode
        with self._lock:
            self._workers.discard(worker)
        if code == 0:
            print(f"{name}: done", flush=True)
        elif not self._is_over:
            reason = last.removeprefix("error: ") if last.startswith("error: ") else f"ended with code {code}"
            self.failures[name] = f"{reason} (see {entry.folder / LOG})"

    def _stop(self) -> None:
        with self._lock:
            self._is_over = True
            workers = list(self._workers)
        for worker in workers:
            worker.terminate()
        for worker in workers:
            try:
                worker.wait(STOP_S)
            except subprocess.TimeoutExpired:
                worker.kill()
