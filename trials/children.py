"""What runs in the process that is killed."""

from __future__ import annotations

import functools
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

# Seconds between two saves within an epoch; a minute in real runs, which are longer than those here.
SAVE_SECONDS = 0.05


def run(arguments: list[str]) -> int:
    """An `avzsl` command that also saves often within an epoch."""
    import torch

    from avzsl.cli import main
    from avzsl.experiments import run as experiment

    torch.set_num_threads(1)
    options = experiment.StageOptions
    if not isinstance(options, functools.partial):
        experiment.StageOptions = functools.partial(options, save_seconds=SAVE_SECONDS)  # type: ignore[misc, assignment]
    return main(arguments)


def save_for_ever(folder: Path) -> int:
    """Save one state after the other through the code of a training; all numbers of a state are its step."""
    import torch

    from avzsl.training.state import State, save_state

    weights = torch.nn.Linear(1000, 250)
    optimiser = torch.optim.Adam(weights.parameters(), lr=1.0)
    sum(p.sum() for p in weights.parameters()).backward()
    optimiser.step()
    state = State(step=_number_of(folder))
    while True:
        state.step += 1
        with torch.no_grad():
            for value in weights.parameters():
                value.fill_(state.step)
                for moment in ("exp_avg", "exp_avg_sq"):
                    optimiser.state[value][moment].fill_(state.step)
        save_state(folder, state, weights, optimiser)  # type: ignore[arg-type] - needs a state dict only


def _number_of(folder: Path) -> int:
    from avzsl.training.state import load_state

    stored = load_state(folder)
    return 0 if stored is None else stored[0].step


class Child:
    """A process that does some work and may be killed.

    Args:
        work: what it does, after a fork; its result is the exit code.
        command: the same in a new interpreter, which takes a second to begin; used instead of a fork when given.
    """

    def __init__(self, work: Callable[[], int], command: list[str] | None = None) -> None:
        self.started = time.monotonic()
        self.code: int | None = None
        self._popen = None
        if command is not None:
            code = "import sys; from trials.children import run; sys.exit(run(sys.argv[1:]))"
            self._popen = subprocess.Popen(
                [sys.executable, "-c", code, *command],
                stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, cwd=Path(__file__).resolve().parents[1],
            )  # fmt: skip
            self.pid = self._popen.pid
            return
        self._said, theirs = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            _work(work, theirs)
        os.close(theirs)

    def kill_after(self, seconds: float) -> bool:
        """End it with SIGKILL so long after its start; False when it had ended by itself."""
        while time.monotonic() - self.started < seconds and not self.ended():
            time.sleep(min(0.002, max(0.0, seconds - (time.monotonic() - self.started))))
        if self.ended():
            return False
        os.kill(self.pid, signal.SIGKILL)
        self.wait()
        return self.code == -signal.SIGKILL

    def wait(self) -> str:
        """Wait for its end; what it said on stderr."""
        if self._popen is not None:
            _, said = self._popen.communicate()
            self.code = self._popen.returncode
            return said.decode(errors="replace").strip()
        with os.fdopen(self._said, "rb") as file:
            said = file.read()
        if self.code is None:
            self.code = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        return said.decode(errors="replace").strip()

    def ended(self) -> bool:
        """Whether it has ended by itself, or was killed."""
        if self.code is None and self._popen is not None:
            self.code = self._popen.poll()
        elif self.code is None:
            done, status = os.waitpid(self.pid, os.WNOHANG)
            self.code = os.waitstatus_to_exitcode(status) if done else None
        return self.code is not None


def _work(work: Callable[[], int], out: int) -> None:
    code = 70
    try:
        os.dup2(out, 2)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        code = work()
    except BaseException:
        import traceback

        os.write(2, traceback.format_exc().encode())
    finally:
        os._exit(code)
