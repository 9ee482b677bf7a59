"""Give inputs to a subject in a process of its own, notice when it crashes or hangs, and keep the score."""

from __future__ import annotations

import json
import multiprocessing
import os
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

from trials.hostile.attempt import FAULTS, Attempt

# Bytes that the process which stands for the user's may ask for beyond what it has after its imports.
MEMORY = 2 * 1024**3
# Attempts after which what was counted is written down.
_CHUNK = 1000
# Examples that are kept per outcome and kind of file.
_KEPT = 3


class Subject(Protocol):
    """Entry points and valid files for them."""

    # Seconds after which an input counts as a hang of the main process.
    limit: float

    def attempts(self, numbers: range, seed: int) -> Iterator[Attempt]:
        """Damage a file, call an entry point, undo the damage, for each number."""


def score_path(out: Path, name: str) -> Path:
    """Where the counts of a subject are kept."""
    return out / f"{name}.json"


def read_score(out: Path, name: str, seed: int) -> dict[str, Any]:
    """Counts so far; fresh ones when there are none or they are of another seed."""
    path = score_path(out, name)
    if path.is_file():
        score: dict[str, Any] = json.loads(path.read_text())
        if score["seed"] == seed:
            return score
    return {"subject": name, "seed": seed, "done": 0, "seconds": 0.0, "outcomes": {}, "examples": {}, "faults": []}


def run_subject(make: Any, name: str, wanted: int, seed: int, out: Path, until: float = float("inf")) -> dict[str, Any]:
    """Go on until `wanted` inputs are done.

    Args:
        make: makes the subject in a folder.
        name: of the subject.
        wanted: number of inputs in all, with those of earlier runs.
        seed: of all damage.
        out: where scores and faults are kept.
        until: time (monotonic) to stop at.
    """
    score = read_score(out, name, seed)
    out.mkdir(parents=True, exist_ok=True)
    while score["done"] < wanted and time.monotonic() < until:
        stop = min(wanted, score["done"] + _CHUNK)
        started = time.monotonic()
        for attempt in _watch(make, range(score["done"], stop), seed, out):
            _count(score, attempt)
        score["seconds"] += time.monotonic() - started
        temporary = score_path(out, name).with_suffix(".partial")
        temporary.write_text(json.dumps(score, indent=1))
        temporary.replace(score_path(out, name))
        faults = sum(score["outcomes"].get(kind, 0) for kind in FAULTS)
        print(f"{name}: {score['done']} of {wanted}, {faults} faults", file=sys.stderr, flush=True)
    return score


def _count(score: dict[str, Any], attempt: Attempt) -> None:
    score["done"] = max(score["done"], attempt.number + 1)
    score["outcomes"][attempt.outcome] = score["outcomes"].get(attempt.outcome, 0) + 1
    if attempt.outcome in FAULTS:
        score["faults"].append([attempt.number, attempt.mutation, attempt.outcome, attempt.detail])
    examples = score["examples"].setdefault(attempt.outcome, [])
    if len(examples) < _KEPT:
        examples.append([attempt.number, attempt.mutation, attempt.detail])


def _watch(make: Any, numbers: range, seed: int, out: Path) -> Iterator[Attempt]:
    """All attempts; one that ends or stalls the process is a crash or a hang, and the next goes on in a new one."""
    following = numbers.start
    while following < numbers.stop:
        context = multiprocessing.get_context("fork")
        ours, theirs = context.Pipe(duplex=False)
        folder = Path(tempfile.mkdtemp(prefix="hostile-"))
        process = context.Process(
            target=_serve, args=(make, folder, range(following, numbers.stop), seed, theirs, ours)
        )
        process.start()
        theirs.close()
        limit, late, built = 120.0, False, False
        try:
            while following < numbers.stop:
                late = not ours.poll(limit)
                if late:
                    break
                heard = ours.recv()
                if isinstance(heard, float):
                    limit, built = heard, True
                    continue
                following = heard.number + 1
                if heard.outcome in FAULTS:
                    _keep(folder, out, heard.number)
                yield heard
        except EOFError:
            pass
        process.kill() if late else process.join(10)
        process.join(5)
        if not built:
            raise RuntimeError(f"the valid files cannot be made (exit code {process.exitcode})")
        if following < numbers.stop:
            _keep(folder, out, following)
            what = "hang" if late else "crash"
            yield Attempt(following, "?", what, f"more than {limit:g} s" if late else f"exit code {process.exitcode}")
            following += 1
        shutil.rmtree(folder, ignore_errors=True)


def _serve(make: Any, folder: Path, numbers: range, seed: int, pipe: Any, other: Any) -> None:
    other.close()  # so that this process ends when nobody listens any more
    from avzsl.isolation.limits import limit_memory

    subject: Subject = make(folder)
    os.dup2(os.open(folder.parent / "hostile-stderr.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND), 2)
    limit_memory(MEMORY)
    pipe.send(subject.limit)
    for attempt in subject.attempts(numbers, seed):
        pipe.send(attempt)


def _keep(folder: Path, out: Path, number: int) -> None:
    """The damaged file: a copy that the subject made of it, or what lies where it was at work when it ended."""
    kept = out / "faults"
    kept.mkdir(exist_ok=True)
    copies = list(folder.glob(f"damaged-{number}-*"))
    at_work = folder / "at-work"
    if not copies and at_work.is_file():
        copies = [path for path in [Path(at_work.read_text())] if path.is_file()]
    for path in copies:
        name = path.name.removeprefix(f"damaged-{number}-")
        shutil.copyfile(path, kept / f"{out.name}-{number}-{name}")


def summary(scores: list[dict[str, Any]]) -> list[str]:
    """A table of outcomes."""
    names = sorted({name for score in scores for name in score["outcomes"]})
    lines = [f"{'':22}" + "".join(f"{score['subject']:>12}" for score in scores)]
    lines.append(f"{'inputs':22}" + "".join(f"{score['done']:>12}" for score in scores))
    for name in names:
        lines.append(f"{name:22}" + "".join(f"{score['outcomes'].get(name, 0):>12}" for score in scores))
    faults = Counter(score["subject"] for score in scores for _ in score["faults"])
    lines.append(f"{'faults':22}" + "".join(f"{faults.get(score['subject'], 0):>12}" for score in scores))
    return lines
