"""Differences on resampled classes, from hand-made decisions."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from avzsl.errors import ModelError
from avzsl.evaluation.paired import compare
from avzsl.evaluation.statistics import Decisions, join
from avzsl.experiments.cells import Outcome
from avzsl.experiments.reproduce import resampled
from avzsl.experiments.reproduce.context import Context, Training
from avzsl.experiments.reproduce.items import Found
from avzsl.experiments.reproduce.published import published
from avzsl.experiments.reproduce.resampled import Resampled

Sides = tuple[tuple[Training, ...], tuple[Training, ...], Found]
LABELS = np.repeat(np.arange(6), 4)  # four clips of each class, the first three classes seen
SEEN = np.arange(6) < 3


def decisions(right: np.ndarray) -> Decisions:
    return Decisions(LABELS, SEEN, right[None], (right & ~SEEN[LABELS])[None])


@pytest.fixture
def sides(context_for: Callable[..., Context], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Sides]:
    """Two rows of two seeds each, with what each run got right."""

    def make(better: list[np.ndarray], worse: list[np.ndarray], evaluated: str = "same") -> Sides:
        context = context_for("table4")
        (place,) = context.places(published("table4"))
        found = Found(context)
        made: dict[Path, Decisions] = {}
        rows = context.trainings(place, "stft"), context.trainings(place, "stft", "pooling=false")
        for trainings, rights, judged in zip(rows, (better, worse), ("same", evaluated), strict=True):
            for training, right in zip(trainings, rights, strict=False):
                folder = context.run_folder(training)
                found.outcomes[folder] = Outcome("done", result={"evaluated": judged})
                made[folder] = decisions(right)

        def read(folder: Path) -> SimpleNamespace:
            if made[folder].right.sum() == 1:  # stands for a file that was damaged
                raise ModelError("damaged")
            return SimpleNamespace(decisions=lambda: made[folder])

        monkeypatch.setattr(resampled, "read_evidence", read)
        return *rows, found

    return make


ALL, NONE = np.ones(24, dtype=bool), np.zeros(24, dtype=bool)


def test_all_right_against_all_wrong_is_a_hundred_points_on_any_classes(sides: Callable[..., Sides]) -> None:
    better, worse, found = sides([ALL, ALL], [NONE, NONE])
    judged = Resampled(found).difference(better, worse)
    assert {name: pytest.approx(pair, abs=1e-3) for name, pair in judged.items()} == dict.fromkeys(
        ("seen", "unseen", "hm", "zsl"), (100.0, 100.0)
    )
    assert Resampled(found).difference(worse, better)["zsl"] == pytest.approx((-100.0, -100.0), abs=1e-3)


def test_intervals_are_those_of_the_paired_comparison(sides: Callable[..., Sides]) -> None:
    random = np.random.default_rng(3)
    rights = [random.random(24) < chance for chance in (0.8, 0.7, 0.4, 0.5)]
    better, worse, found = sides(rights[:2], rights[2:])
    judged = Resampled(found).difference(better, worse)
    known = compare(
        join([decisions(r) for r in rights[:2]]), join([decisions(r) for r in rights[2:]]),
        np.random.default_rng(0), permutations=1,
    )  # fmt: skip
    for name, difference in known.items():
        assert judged[name] == pytest.approx((100 * difference.interval.low, 100 * difference.interval.high), abs=1e-5)
    assert judged["hm"][0] < judged["hm"][1] and judged["hm"] != (-judged["hm"][1], -judged["hm"][0])


def test_only_seeds_that_both_have_count(sides: Callable[..., Sides]) -> None:
    better, worse, found = sides([NONE, ALL], [NONE])
    assert Resampled(found).difference(better, worse)["zsl"] == (0.0, 0.0)


def test_nothing_is_said_where_nothing_pairs(sides: Callable[..., Sides]) -> None:
    better, worse, found = sides([ALL, ALL], [])
    assert Resampled(found).difference(better, worse) == {}
    better, worse, found = sides([ALL, ALL], [NONE, NONE], evaluated="other")
    assert Resampled(found).difference(better, worse) == {}
    assert not Resampled(found).same_clips(better, worse) and Resampled(found).same_clips(better)
    damaged = np.arange(24) == 0
    better, worse, found = sides([ALL, ALL], [damaged, damaged])
    assert Resampled(found).difference(better, worse) == {}
