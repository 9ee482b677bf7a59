"""Cells in processes of their own, several at a time."""

from __future__ import annotations

import contextlib
import multiprocessing
import multiprocessing.connection
import os
import signal
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from typing import Any

from avzsl import stop
from avzsl.errors import AvzslError
from avzsl.experiments.cells import Cell, Loader, Outcome, run_cell
from avzsl.files import write_json
from avzsl.methods._own import use, used

# What a worker says once it has imported everything.
_READY = "ready"
# Workers that die one after the other before they say so: the fault is not a cell's.
_FAILED_STARTS = 3
# Seconds that a worker may take to save what it has done when everything stops.
_PATIENCE = 60.0


def run_cells(cells: Sequence[Cell], jobs: int, load: Loader) -> Iterator[tuple[Cell, Outcome]]:
    """Yield every cell with its outcome: one after the other in this process, or by `run_parallel`."""
    jobs = min(jobs, len(cells))
    if jobs <= 1:
        for cell in cells:
            yield cell, run_cell(cell, load)
        return
    import torch

    load.forget()  # the workers load for themselves
    yield from run_parallel(cells, jobs, max(1, torch.get_num_threads() // jobs), trusted=load.trusted)


def run_parallel(
    cells: Sequence[Cell], jobs: int, threads: int, *, trusted: bool = False
) -> Iterator[tuple[Cell, Outcome]]:
    """Yield every cell with its outcome, in the order in which they end.

    When the caller stops (an exception, or it asks for no more), the workers are told to save and end.

    Args:
        cells: what to run.
        jobs: number of processes.
        threads: that PyTorch may use in each.
        trusted: as in `load_benchmark`.

    Raises:
        AvzslError: workers cannot start.
    """
    waiting, workers = deque(cells), list[_Worker]()
    failed_starts = 0
    try:
        while waiting or any(worker.cell is not None for worker in workers):
            while waiting and len(workers) < jobs:
                workers.append(_Worker(threads, trusted))
            for worker in workers:
                if worker.cell is None and waiting:
                    worker.give(waiting.popleft())
            for worker in _due(workers):
                heard, cell = worker.hear(), worker.cell
                if isinstance(heard, str):
                    if heard != _READY:
                        raise AvzslError(f"a worker process cannot start: {heard}")
                    failed_starts = 0
                    continue
                assert cell is not None
                worker.cell = None
                if heard is None:
                    workers.remove(worker)
                    failed_starts += not worker.ready
                    if failed_starts >= _FAILED_STARTS:
                        raise AvzslError(
                            f"worker processes cannot start ({worker.cause()}); use --jobs 1, or put the code that"
                            " starts them under if __name__ == '__main__'"
                        )
                    heard = Outcome("failed", worker.cause())
                    write_json(cell.file, heard.as_dict(cell))
                yield cell, heard
    finally:
        for worker in workers:
            worker.stop()
        for worker in workers:
            worker.end()


class _Worker:
    """One process and the cell it works on."""

    def __init__(self, threads: int, trusted: bool) -> None:
        # A fresh interpreter: a fork would copy locks that PyTorch's or the progress bars' threads hold.
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=_serve, args=(theirs, used(), threads, trusted), daemon=True)
        self.process.start()
        theirs.close()
        self.cell: Cell | None = None
        self.ready = False

    def give(self, cell: Cell) -> None:
        """Hand out a cell."""
        self.cell = cell
        # A worker that died meanwhile is noticed when its answer is awaited.
        with contextlib.suppress(OSError):
            self.pipe.send(cell)

    def hear(self) -> Outcome | str | None:
        """What became of the cell, or `_READY`, or why it cannot start; None when the process is dead."""
        try:
            heard: Outcome | str = self.pipe.recv()
        except (EOFError, OSError):
            self.process.join()
            return None
        self.ready = True
        return heard

    def cause(self) -> str:
        """How the process ended."""
        code = self.process.exitcode
        if code is None or code >= 0:
            return f"its process ended with exit code {code}"
        name = signal.Signals(-code).name if -code in list(signal.Signals) else str(-code)
        return f"its process was ended by signal {name}{'; perhaps memory ran out' if name == 'SIGKILL' else ''}"

    def stop(self) -> None:
        """Ask it to save what it has done and to end."""
        if self.cell is not None and self.process.is_alive():
            self.process.terminate()
        self.pipe.close()

    def end(self) -> None:
        """Wait until it has ended."""
        self.process.join(_PATIENCE)
        if self.process.is_alive():
            self.process.kill()
            self.process.join()


def _due(workers: Sequence[_Worker]) -> list[_Worker]:
    """Wait until a worker has answered or died."""
    busy: dict[Any, _Worker] = {worker.pipe: worker for worker in workers if worker.cell is not None}
    return [busy[pipe] for pipe in multiprocessing.connection.wait(list(busy))]


def _serve(pipe: Any, places: Sequence[str], threads: int, trusted: bool) -> None:
    """Life of a worker: run cells until the pipe closes."""
    import torch

    if hasattr(os, "setpgrp"):
        os.setpgrp()  # Ctrl-C in the terminal is the parent's affair; it passes one request on
    # A request to end is what Ctrl-C is: inside a training it waits for the step and saves.
    signal.signal(signal.SIGTERM, stop.note)
    threading.Thread(target=_leave_with_parent, daemon=True).start()
    torch.set_num_threads(threads)
    with contextlib.suppress(EOFError, OSError, KeyboardInterrupt):
        try:
            for place in places:
                use(place)
        except AvzslError as error:
            pipe.send(str(error))
            return
        load = Loader(trusted=trusted)
        pipe.send(_READY)
        while True:
            cell = pipe.recv()
            pipe.send(run_cell(cell, load))


def _leave_with_parent() -> None:
    """Save and end when the parent was killed."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        multiprocessing.connection.wait([parent.sentinel])
        os.kill(os.getpid(), signal.SIGTERM)
