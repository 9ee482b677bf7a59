"""Kill what avzsl does at random moments, give the same command again, and compare with a run that nobody disturbed.

    python -m trials.kill --kills 100 --save-kills 200 --seed 0

Everything is killed with SIGKILL, which nothing can answer. Moments are spread evenly over the time that an undisturbed
run takes. Most processes are forks of this one, so that moments are not spent on imports; every tenth is a new
interpreter. Saves within an epoch happen every 0.05 s instead of every minute, because these runs are short. All data
are rendered here and called simulated.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

from trials.children import Child, run, save_for_ever
from trials.compare import LEFT_OUT, contents, differences

NEW_INTERPRETER = 10  # every so many kills
MEASURED_AGAIN = 20  # how long a run takes changes with what else the machine does
PATIENCE = 120.0  # seconds until a child must have begun
STFT = (
    "hidden=16 heads=2 head_width=8 attention_hidden=8 head_hidden=16 embedding=16 slots=2 time_steps=2 rank=4"
    " largest_rank=4 channels=2 epochs=3 batches=16 batch_size=8"
)
VAEGAN = (
    "latent=8 encoder_hidden=16 generator_hidden=32 critic_hidden=16 critic_steps=2 synthetic=10 classifier_epochs=2"
    " epochs=4 batches=30 batch_size=16"
)


@dataclass
class Trial:
    """What came of one kind of kill.

    Attributes:
        name: what was killed.
        kills: how many processes died of SIGKILL.
        held: how many of these ended as promised.
        where: what was under way.
        seconds: of an undisturbed run.
        faults: what was wrong, the first few.
    """

    name: str
    kills: int = 0
    held: int = 0
    where: dict[str, int] = field(default_factory=dict)
    seconds: float = 0.0
    faults: list[str] = field(default_factory=list)

    def judge(self, faults: list[str], where: str) -> None:
        """Book one kill."""
        self.kills, self.held = self.kills + 1, self.held + (not faults)
        self.where[where] = self.where.get(where, 0) + 1
        self.faults += faults[: 5 - len(self.faults)]


def kill_and_go_on(
    name: str, arguments: Callable[[Path], list[str]], kills: int, rng: random.Random, where: Callable[[Path], str]
) -> Trial:
    """Kill a command `kills` times, each time in a folder of its own, and let it go on to its end."""
    trial = Trial(name)
    with tempfile.TemporaryDirectory() as place:
        whole, out = Path(place) / "whole" / "out", Path(place) / "killed" / "out"
        usual = {False: _measure(arguments, whole, None), True: 0.0}
        expected = contents(whole)
        trial.seconds = round(usual[False], 2)
        while trial.kills < kills:
            if trial.kills and trial.kills % MEASURED_AGAIN == 0:
                shutil.rmtree(out.parent, ignore_errors=True)
                usual[False] = _measure(arguments, out, None)
                trial.faults += [f"undisturbed, once more: {fault}" for fault in differences(expected, contents(out))]
            shutil.rmtree(out.parent, ignore_errors=True)
            fresh = trial.kills % NEW_INTERPRETER == NEW_INTERPRETER - 1
            if fresh and not usual[True]:
                usual[True] = _measure(arguments, Path(place) / "other" / "out", arguments)
            command = arguments(out)
            child = Child(lambda: run(command), command if fresh else None)  # noqa: B023 - the child forks here
            if not child.kill_after(rng.uniform(0, usual[fresh])):
                usual[fresh] = time.monotonic() - child.started  # it was quicker than usual
                continue
            stage = where(out)
            again = Child(lambda: run(command))  # noqa: B023
            said = again.wait()
            faults = [f"exit code {again.code}: {said}"] if again.code else differences(expected, contents(out))
            trial.judge([f"{name}, killed in {stage}: {fault}" for fault in faults], stage)
    return trial


def _measure(arguments: Callable[[Path], list[str]], out: Path, fresh: Callable[[Path], list[str]] | None) -> float:
    command = arguments(out)
    child = Child(lambda: run(command), None if fresh is None else command)
    said = child.wait()
    if child.code:
        raise SystemExit(f"error: the undisturbed run ends with exit code {child.code}: {said}")
    return time.monotonic() - child.started


def kill_saves(kills: int, rng: random.Random) -> Trial:
    """Kill a process that does nothing but save: at once when its temporary file appears, or a moment later."""
    import torch

    from avzsl.errors import AvzslError
    from avzsl.training.state import STATE, load_state

    trial = Trial("saves")

    def temporary() -> list[Path]:
        return list((folder / STATE).parent.glob(".*.partial*"))

    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        while trial.kills < kills:
            before = 0 if not (folder / STATE).is_file() else load_state(folder)[0].step  # type: ignore[index]
            old = (folder / STATE).stat().st_mtime_ns if (folder / STATE).is_file() else 0
            child = Child(lambda: save_for_ever(folder))
            # The first save only shows that it has begun.
            while not (folder / STATE).is_file() or (folder / STATE).stat().st_mtime_ns == old:
                time.sleep(0.001)
                late = time.monotonic() - child.started > PATIENCE
                if child.ended() or (late and child.kill_after(PATIENCE)):
                    raise SystemExit(f"error: the process that saves does not begin: {child.wait()}")
            while trial.kills % 2 and not temporary() and not child.ended():
                pass
            wait = rng.uniform(0, 0.004 if trial.kills % 2 else 0.06)
            if not child.kill_after(time.monotonic() - child.started + wait):
                raise SystemExit(f"error: the process that saves has ended: {child.wait()}")
            torn = bool(temporary())
            try:
                state, tensors = load_state(folder)  # type: ignore[misc]
                good = all(bool((t == state.step).all()) for n, t in tensors.items() if not n.endswith(".step"))
                sizes = sorted(t.numel() for t in tensors.values() if isinstance(t, torch.Tensor))
                faults = [] if good and state.step >= before and len(sizes) == 8 else [f"a mixture at {state.step}"]
            except AvzslError as error:
                faults = [str(error)]
            trial.judge(faults, "half-written" if torn else "between two files")
            for left in temporary():
                left.unlink()
    return trial


def training_stage(out: Path) -> str:
    """What a killed training was at, from what it left."""
    from avzsl.training.state import load_state

    for name, said in (("result.json", "tidying up"), ("model.safetensors", "the last files")):
        if (out / name).is_file():
            return said
    stored = load_state(out)
    if stored is None:
        return "start" if not (out / "settings.json").is_file() else "stage 1, before a save"
    state = stored[0]
    return f"stage {state.stage}, {'between epochs' if state.step == 0 else 'within an epoch'}"


def trials(given: argparse.Namespace, place: Path) -> Iterator[Trial]:
    """One trial after the other."""
    rng = random.Random(given.seed)
    videos, data = place / "videos", place / "World"
    for command in (
        ["world", str(videos), "--classes", "10", "--clips", "4", "--seconds", "1", "--quiet"],
        ["extract", str(videos), "--out", str(data), "--text", "hash-ngram", "--quiet"],
    ):
        child = Child(lambda: run(command))  # noqa: B023
        said = child.wait()
        if child.code:
            raise SystemExit(f"error: no data: {said}")
    for method, text, kills in (
        ("stft", STFT, given.kills - given.kills // 2), ("vaegan", VAEGAN, given.kills // 2),
    ):  # fmt: skip
        settings = [part for value in text.split() for part in ("--set", value)]
        base = [
            "train",
            method,
            "--data",
            str(data),
            "--seed",
            "3",
            "--device",
            "cpu",
            "--quiet",
            "--trusted",
            *settings,
            "--out",
        ]
        if kills:
            yield kill_and_go_on(f"train {method}", lambda out: [*base, str(out)], kills, rng, training_stage)  # noqa: B023
    if given.save_kills:
        yield kill_saves(given.save_kills, rng)
    if given.extract_kills:
        begin = ["extract", str(videos), "--text", "hash-ngram", "--workers", "0", "--trusted", "--quiet", "--out"]
        kept = lambda out: f"{min(4, len(list(out.rglob('*.safetensors'))) // 10)}0 or more videos kept"  # noqa: E731
        yield kill_and_go_on("extract", lambda out: [*begin, str(out)], given.extract_kills, rng, kept)
    if given.benchmark_kills:
        begin = ["benchmark", "--data", str(data), "--methods", "ridge,sje", "--seeds", "2", "--quiet",
                 "--device", "cpu", "--set", "epochs=2", "--set", "batches=10", "--set", "batch_size=16",
                 "--out"]  # fmt: skip
        done = lambda out: f"{len(list(out.rglob('result.json')))} of 4 runs finished"  # noqa: E731
        yield kill_and_go_on("benchmark", lambda out: [*begin, str(out)], given.benchmark_kills, rng, done)


def main(arguments: list[str] | None = None) -> int:
    """Run the trials and print what came of them; 1 when a promise was not kept."""
    parser = argparse.ArgumentParser(prog="python -m trials.kill", description=__doc__.split("\n\n")[0])
    parser.add_argument("--kills", type=int, default=100, help="of trainings, half of them STFT, half f-VAEGAN-D2")
    parser.add_argument("--save-kills", type=int, default=200, help="of a process that only saves")
    parser.add_argument("--extract-kills", type=int, default=20, help="of an extraction")
    parser.add_argument("--benchmark-kills", type=int, default=10, help="of a benchmark of two methods and two seeds")
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    parser.add_argument("--json", action="store_true", help="print JSON")
    given = parser.parse_args(arguments)
    if not hasattr(__import__("os"), "fork"):
        raise SystemExit("error: this needs a system that can fork and kill processes, such as Linux or macOS")
    _import_for_forks()
    found, started = [], time.monotonic()
    with tempfile.TemporaryDirectory() as place:
        for trial in trials(given, Path(place)):
            found.append(trial)
            if not given.json:
                print(f"{trial.name:<14} {trial.held:>4} of {trial.kills:>4}   {_spread(trial)}", flush=True)
                for fault in trial.faults:
                    print(f"    {fault}")
    if given.json:
        seconds = round(time.monotonic() - started, 1)
        print(json.dumps({"seed": given.seed, "left_out": LEFT_OUT, "seconds": seconds,
                          "trials": [asdict(trial) for trial in found]}, indent=2))  # fmt: skip
    else:
        print(f"equal byte for byte, but for {', '.join(LEFT_OUT)} in records; {time.monotonic() - started:.0f} s")
    return int(any(trial.held < trial.kills for trial in found))


def _import_for_forks() -> None:
    """What a fork would otherwise import first, so that most moments fall into the work."""
    import torch

    import avzsl.experiments.benchmark
    import avzsl.features.pipeline  # noqa: F401
    from avzsl.cli._app import build

    torch.set_num_threads(1)
    torch.optim.Adam([torch.nn.Parameter(torch.zeros(1))])  # imports much at its first use
    build()


def _spread(trial: Trial) -> str:
    return ", ".join(f"{count} in {where}" for where, count in sorted(trial.where.items(), key=lambda entry: -entry[1]))


if __name__ == "__main__":
    sys.exit(main())
