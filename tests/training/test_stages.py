"""The two stages: which epoch is chosen, what stage 2 repeats, and that stopping changes nothing."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from avzsl.data.splits import Benchmark, load_benchmark
from avzsl.errors import AvzslError, ModelError, OutputError
from avzsl.methods._base import Method
from avzsl.training.interrupt import Interrupted
from avzsl.training.loop import TrainConfig
from avzsl.training.stages import Fitted, Score, StageOptions, fit_stages
from avzsl.training.state import STATE, load_state
from avzsl.types import Clips

CPU = torch.device("cpu")
TRAIN = TrainConfig(epochs=4, batches=3, batch_size=8, learning_rate=0.01)


@pytest.fixture
def benchmark(toy_benchmark: Path) -> Benchmark:
    return load_benchmark(toy_benchmark)


class Runner:
    """Runs the stages on the toy benchmark; the validation HM of epoch k is `scores[k]` when given."""

    def __init__(
        self, toy: type[Method], benchmark: Benchmark, folder: Path, scores: list[float] | None = None
    ) -> None:
        self.toy, self.benchmark, self.folder, self.scores = toy, benchmark, folder, scores
        self.validated: list[float] = []

    def __call__(self, train: TrainConfig = TRAIN, **options: Any) -> Fitted:
        return fit_stages(
            lambda: self.toy(self.toy.Config(), self.benchmark.dimensions),
            self.benchmark.training,
            self.validate,
            StageOptions(train, 3, CPU, options.pop("folder", self.folder), **options),
        )

    def validate(self, method: Method) -> Score:
        assert not method.training
        weights = sum(float(p.detach().double().sum()) for p in method.parameters())
        hm = abs(weights) % 1 if self.scores is None else self.scores[len(self.validated) % len(self.scores)]
        self.validated.append(hm)
        return Score(hm, {"hm": 100 * hm}, {"bias": hm / 2, "weights": weights})


@pytest.fixture
def runner(toy: type[Method], benchmark: Benchmark, tmp_path: Path) -> Runner:
    return Runner(toy, benchmark, tmp_path / "run")


def _weights(fitted: Fitted) -> dict[str, bytes]:
    return {n: v.numpy().tobytes() for n, v in fitted.method.state_dict().items()}


def _plain(fitted: Fitted) -> list[dict[str, Any]]:
    return [{k: v for k, v in line.items() if k != "seconds"} for line in fitted.history]


@pytest.mark.parametrize(
    ("scores", "expected"),
    [([0.1, 0.4, 0.2, 0.4], 2), ([0.4, 0.1, 0.1, 0.1], 1), ([0.1, 0.2, 0.3, 0.4], 4), ([0.0, 0.0, 0.0, 0.0], 1)],
)
def test_the_first_epoch_of_the_best_hm_is_chosen(runner: Runner, scores: list[float], expected: int) -> None:
    runner.scores = scores
    fitted = runner()
    assert fitted.epochs == expected
    assert fitted.hm == max(scores)
    assert fitted.record["bias"] == max(scores) / 2
    assert [line["epoch"] for line in fitted.history if line["stage"] == 2] == list(range(1, expected + 1))
    assert len(runner.validated) == 4  # stage 2 is never validated


def test_the_rule_of_what_is_better_can_be_passed(runner: Runner) -> None:
    def rule(hm: float, best: float | None) -> bool:
        return not best or hm > best

    runner.scores = [0.0, 0.0, 0.0, 0.0]
    assert runner(is_better=rule).epochs == 4
    runner.scores, runner.validated = [0.0, 0.2, 0.1, 0.2], []
    assert runner(is_better=rule, folder=runner.folder.with_name("other")).epochs == 2


def test_stopping_stage_2_early_equals_storing_every_epoch_of_a_full_one(
    toy: type[Method], benchmark: Benchmark, tmp_path: Path
) -> None:
    short = Runner(toy, benchmark, tmp_path / "short", [0.1, 0.4, 0.2, 0.3])()
    full = Runner(toy, benchmark, tmp_path / "full", [0.1, 0.2, 0.3, 0.4])()
    assert (short.epochs, full.epochs) == (2, 4)
    stage_2 = [line for line in _plain(full) if line["stage"] == 2]
    assert [line for line in _plain(short) if line["stage"] == 2] == stage_2[:2]
    assert _weights(short) != _weights(full)


def test_both_stages_start_from_the_weights_of_the_seed(runner: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    starts = []
    real = runner.toy.train

    def note(method: Method, mode: bool = True) -> Method:
        starts.append({n: p.detach().clone() for n, p in method.named_parameters()})
        return real(method, mode)

    runner.scores = [0.1, 0.1, 0.1, 0.1]
    monkeypatch.setattr(runner.toy, "train", note)
    runner()
    first, second = starts[0], starts[-2]  # each epoch calls train() once, each validation and the end call eval()
    assert all(torch.equal(first[n], second[n]) for n in first)


def test_the_same_seed_gives_the_same_run_and_another_seed_another(runner: Runner) -> None:
    first = runner()
    second = runner(folder=runner.folder.with_name("again"))
    assert _weights(first) == _weights(second)
    assert _plain(first) == _plain(second)
    other = fit_stages(
        lambda: runner.toy(runner.toy.Config(), runner.benchmark.dimensions),
        runner.benchmark.training,
        runner.validate,
        StageOptions(TRAIN, 4, CPU, runner.folder.with_name("other")),
    )
    assert _weights(first) != _weights(other)


def _stop_at_step(monkeypatch: pytest.MonkeyPatch, count: int) -> Callable[[], int]:
    """Ask for a stop, as Ctrl-C does, while training step number `count` is under way."""
    from avzsl.training import stages

    real, done = stages.train_step, 0

    def step(*args: Any) -> dict[str, float]:
        nonlocal done
        done += 1
        if done == count:
            os.kill(os.getpid(), signal.SIGINT)
        return real(*args)

    monkeypatch.setattr(stages, "train_step", step)
    return lambda: done


@pytest.fixture
def uninterrupted(
    toy: type[Method], benchmark: Benchmark, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Fitted]:
    yield Runner(toy, benchmark, tmp_path_factory.mktemp("whole"))(TrainConfig(4, 3, 8, 0.01, schedule="plateau"))


@pytest.mark.parametrize("count", [1, 2, 3, 4, 6, 11, 12, 13, 14, 15])
def test_a_run_stopped_anywhere_ends_in_the_same_weights(
    runner: Runner, uninterrupted: Fitted, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = 3 * (4 + uninterrupted.epochs)
    assert steps >= 15
    train = TrainConfig(4, 3, 8, 0.01, schedule="plateau")
    with monkeypatch.context() as patched:
        done = _stop_at_step(patched, count)
        with pytest.raises(Interrupted, match="give the same command again to continue"):
            runner(train)
        assert done() == count
    stored = load_state(runner.folder)
    assert stored is not None
    with monkeypatch.context() as patched:
        done = _stop_at_step(patched, -1)
        fitted = runner(train)
        assert done() == steps - count  # nothing is done twice
    assert _weights(fitted) == _weights(uninterrupted)
    assert _plain(fitted) == _plain(uninterrupted)
    assert (fitted.epochs, fitted.hm, fitted.record) == (uninterrupted.epochs, uninterrupted.hm, uninterrupted.record)
    lines = [json.loads(line) for line in (runner.folder / "epochs.jsonl").read_text().splitlines()]
    assert [{k: v for k, v in line.items() if k != "seconds"} for line in lines] == _plain(uninterrupted)


def test_a_run_stopped_at_every_single_step_ends_in_the_same_weights(
    runner: Runner, uninterrupted: Fitted, monkeypatch: pytest.MonkeyPatch
) -> None:
    train = TrainConfig(4, 3, 8, 0.01, schedule="plateau")
    for _ in range(60):
        with monkeypatch.context() as patched:
            _stop_at_step(patched, 1)
            try:
                fitted = runner(train)
                break
            except Interrupted:
                continue
    assert _weights(fitted) == _weights(uninterrupted)
    assert _plain(fitted) == _plain(uninterrupted)


def test_a_crash_loses_only_what_came_after_the_last_save(
    runner: Runner, uninterrupted: Fitted, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A power cut is an exception here: it leaves at any step, without saving."""
    from avzsl.training import stages

    train = TrainConfig(4, 3, 8, 0.01, schedule="plateau")
    for crash_at in (2, 5, 8):
        real, done = stages.train_step, 0
        with monkeypatch.context() as patched:

            def step(*args: Any) -> dict[str, float]:
                nonlocal done
                done += 1
                if done == crash_at:  # noqa: B023
                    raise MemoryError
                return real(*args)  # noqa: B023

            patched.setattr(stages, "train_step", step)
            with pytest.raises(MemoryError):
                runner(train)
    assert _weights(runner(train)) == _weights(uninterrupted)


def test_saving_within_an_epoch_changes_nothing_and_happens(runner: Runner, uninterrupted: Fitted) -> None:
    from avzsl.training import stages

    saves = 0
    real = stages.save_state
    train = TrainConfig(4, 3, 8, 0.01, schedule="plateau")

    def count(*args: Any) -> None:
        nonlocal saves
        saves += 1
        real(*args)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(stages, "save_state", count)
        fitted = runner(train, save_seconds=0.0)
    assert saves == 4 * (4 + fitted.epochs) + 1  # every step, every epoch, and the change of stage
    assert _weights(fitted) == _weights(uninterrupted)


def test_going_on_with_another_number_of_threads_is_said_once(runner: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patched:
        _stop_at_step(patched, 2)
        with pytest.raises(Interrupted):
            runner()
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(before + 1)
        with (
            monkeypatch.context() as patched,
            pytest.warns(UserWarning, match=f"{before} threads and goes on with {before + 1}"),
        ):
            _stop_at_step(patched, 2)
            with pytest.raises(Interrupted):
                runner()
        runner()  # warnings are errors: nothing is said of the same number
    finally:
        torch.set_num_threads(before)


def test_a_finished_run_is_returned_without_training(runner: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    first = runner()
    done = _stop_at_step(monkeypatch, -1)
    second = runner()
    assert done() == 0
    assert _weights(first) == _weights(second)


@pytest.mark.parametrize("live", [False, True])
def test_stage_2_replays_the_learning_rates_or_follows_its_own_validation(runner: Runner, live: bool) -> None:
    # The rate falls after the sixth epoch (four epochs without improvement); the best is the first of the last two.
    runner.scores = [0.2, 0.3, 0.1, 0.1, 0.1, 0.1, 0.4, 0.4, 0.9, 0.95, 0.96, 0.97, 0.98, 0.99, 1.0]
    fitted = runner(TrainConfig(8, 2, 8, 0.01, schedule="plateau"), live_plateau=live)
    first = [line["learning_rate"] for line in fitted.history if line["stage"] == 1]
    second = [line["learning_rate"] for line in fitted.history if line["stage"] == 2]
    assert first == pytest.approx([0.01] * 6 + [0.001] * 2)
    assert fitted.epochs == 7
    assert second == ([0.01] * 7 if live else first[:7])
    assert len(runner.validated) == (15 if live else 8)


def test_a_method_that_solves_in_closed_form_trains_one_epoch_of_each_stage(
    runner: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[int] = []

    def solve(self: Method, clips: Clips, labels: torch.Tensor, classes: torch.Tensor) -> bool:
        assert len(clips) == len(labels)
        calls.append(len(labels))
        with torch.no_grad():
            self.text.bias.fill_(float(len(labels)))  # type: ignore[union-attr,operator]
        return True

    monkeypatch.setattr(runner.toy, "solve", solve)
    fitted = runner()
    assert calls == [24, 24 + 12 + 10]
    assert [(line["stage"], line["epoch"]) for line in fitted.history] == [(1, 1), (2, 1)]
    assert fitted.method.state_dict()["text.bias"].tolist() == [46.0] * 8
    assert _weights(runner()) == _weights(fitted)
    assert len(calls) == 2


def test_the_hook_at_the_end_of_an_epoch_sees_the_whole_training_set(
    runner: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []

    def hook(self: Method, clips: Clips, labels: torch.Tensor, classes: torch.Tensor) -> None:
        sizes.append(len(clips))

    monkeypatch.setattr(runner.toy, "end_of_epoch", hook)
    runner.scores = [0.1, 0.4, 0.2, 0.3]
    runner()
    assert sizes == [24] * 4 + [46] * 2


def test_a_term_that_not_every_batch_has_is_averaged_over_those_that_have_it(
    runner: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[float] = []

    def updates(self: Method, batch: Any) -> Iterator[dict[str, torch.Tensor]]:
        yield self.fit_step(batch)
        if self.training and len(seen) % 3 == 0:  # first of every 3 batches
            terms = self.fit_step(batch)
            yield {"loss": terms["loss"], "rare": torch.tensor(float(len(seen)))}
        seen.append(0.0)

    monkeypatch.setattr(runner.toy, "updates", updates)
    runner.scores = [0.1, 0.2, 0.3, 0.4]
    lines = runner().history
    assert [line["rare"] for line in lines] == [float(3 * k) for k in range(8)]
    assert all(line["pull"] > 0 for line in lines)


def test_a_damaged_state_is_refused(runner: Runner) -> None:
    runner()
    path = runner.folder / STATE
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(ModelError, match=r"is damaged .*--fresh"):
        runner()


def test_a_state_of_another_method_is_refused(runner: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    runner()
    narrower = type(runner.toy.Config())(width=3)
    monkeypatch.setattr(runner.toy, "Config", lambda: narrower)
    with pytest.raises(ModelError, match="does not fit the method"):
        runner()


def test_a_full_disk_is_one_sentence_and_the_last_state_stays(runner: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    real, calls = os.replace, 0

    def full(source: Any, target: Any) -> None:
        nonlocal calls
        calls += 1
        if calls == 4:  # two files per epoch: the state of the second epoch
            raise OSError(28, "No space left on device")
        real(source, target)

    with monkeypatch.context() as patched:
        patched.setattr(os, "replace", full)
        with pytest.raises(OutputError, match="No space left on device; free some disk space"):
            runner()
    stored = load_state(runner.folder)
    assert stored is not None
    assert stored[0].epoch == 1
    assert not [p for p in runner.folder.rglob("*") if "partial" in p.name]
    whole = runner(folder=runner.folder.with_name("whole"))
    assert _weights(runner()) == _weights(whole)


def test_a_loss_that_is_not_a_number_can_be_continued_from_the_last_epoch(
    runner: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, calls = runner.toy.fit_step, 0

    def broken(self: Method, batch: Any) -> dict[str, torch.Tensor]:
        nonlocal calls
        calls += 1
        return {n: t * (float("nan") if calls == 5 else 1.0) for n, t in real(self, batch).items()}

    with monkeypatch.context() as patched:
        patched.setattr(runner.toy, "fit_step", broken)
        with pytest.raises(AvzslError, match="stage 1, epoch 2, step 2: training diverged"):
            runner()
    whole = runner(folder=runner.folder.with_name("whole"))
    assert _weights(runner()) == _weights(whole)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_are_put_back_and_a_second_one_stops_at_once(number: signal.Signals) -> None:
    code = (
        "import os, signal, sys\n"
        "from avzsl.training.interrupt import stop_requests\n"
        "before = signal.getsignal(signal.SIGTERM)\n"
        "try:\n"
        "    with stop_requests() as stop:\n"
        f"        assert not stop(); os.kill(os.getpid(), {int(number)}); assert stop()\n"
        f"        os.kill(os.getpid(), {int(number)}); sys.exit('still here')\n"
        "except KeyboardInterrupt:\n"
        "    assert signal.getsignal(signal.SIGTERM) == before; print('stopped')\n"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert (result.returncode, result.stdout) == (0, "stopped\n"), result.stderr
