"""Timing in turns."""

from __future__ import annotations

import time

from benchmarks.clock import Plan, Times, interleave

PLAN = Plan(rounds=6, fewest=2, seconds=60, least=0.0, warmups=1)


def test_every_variant_is_called_in_every_round_and_the_order_changes() -> None:
    called: list[str] = []
    names = ("a", "b", "c", "d")
    times = interleave({name: lambda name=name: called.append(name) for name in names}, PLAN, seed=1)  # type: ignore[misc]
    rounds = [called[start : start + 4] for start in range(4, len(called), 4)]  # the first four warm up
    assert len(rounds) == 6
    assert all(sorted(turn) == list(names) for turn in rounds)
    assert len({tuple(turn) for turn in rounds}) > 1
    assert all(len(found.wall) == len(found.cpu) == 6 for found in times.values())


def test_the_order_is_that_of_the_seed() -> None:
    def order(seed: int) -> list[str]:
        called: list[str] = []
        plan = Plan(rounds=2, fewest=2, seconds=60, least=0.0, warmups=1)
        interleave({n: lambda n=n: called.append(n) for n in "abcdef"}, plan, seed)  # type: ignore[misc]
        return called

    assert order(3) == order(3) != order(4)


def test_sleeping_takes_wall_time_and_no_cpu_time() -> None:
    times = interleave({"sleep": lambda: time.sleep(0.02)}, PLAN, seed=0)["sleep"]
    assert times.median >= 0.02
    assert times.cpu_median < 0.01


def test_short_calls_are_repeated_and_their_times_are_those_of_one() -> None:
    calls = []
    plan = Plan(rounds=2, fewest=2, seconds=60, least=0.08, warmups=2)
    times = interleave({"short": lambda: (calls.append(1), time.sleep(0.002))}, plan, seed=0)["short"]
    assert 2 <= times.repeats <= 40
    assert len(calls) == 2 + 2 * times.repeats
    assert 0.002 <= times.median < 0.04  # not the 0.08 of all of them


def test_long_calls_are_not_warmed_up() -> None:
    calls: list[int] = []
    interleave({"long": lambda: calls.append(1)}, Plan(rounds=1, fewest=1, seconds=0, warmups=0), seed=0)
    assert len(calls) == 1


def test_no_round_starts_when_the_time_is_up_but_the_fewest_are_made() -> None:
    plan = Plan(rounds=50, fewest=3, seconds=0.0, least=0.0, warmups=1)
    assert len(interleave({"sleep": lambda: time.sleep(0.01)}, plan, seed=0)["sleep"].wall) == 3


def test_medians_by_hand() -> None:
    times = Times((3.0, 1.0, 2.0), (0.5, 0.1, 0.3, 0.2))
    assert times.median == 2.0
    assert times.cpu_median == 0.25
    assert Times.from_dict(times.as_dict()) == times


def test_the_time_of_child_processes_counts_when_they_have_ended() -> None:
    import subprocess
    import sys

    code = "import time\nwhile time.process_time() < 0.3: pass"
    plan = Plan(rounds=1, fewest=1, seconds=0, warmups=0)
    times = interleave({"child": lambda: subprocess.run([sys.executable, "-c", code], check=True)}, plan, 0)
    assert times["child"].cpu_median >= 0.3
