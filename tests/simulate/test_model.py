"""The generative model against its own equation, part by part."""

from __future__ import annotations

import re
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest

from avzsl.simulate.model import SimulationConfig, Simulator, seconds_of, source_of

NOTHING = SimulationConfig(text=0, residual=0, group=0, clip=0, segment=0, column=0, latent=8, hidden=16)
WORDS = np.random.default_rng(3).normal(size=(4, 6)) / 6**0.5


def _simulator(config: SimulationConfig, modality: str = "visual", seed: int = 0) -> Simulator:
    return Simulator(config, modality, 10, 6, seed)


def _row(config: SimulationConfig, clip: str = "a", seconds: int = 1, word: int = 0, seed: int = 0) -> np.ndarray:
    simulator = _simulator(config, seed=seed)
    return simulator.rows(simulator.centre("cat", WORDS[word]), "cat", clip, seconds)


def test_rows_are_the_equation_in_plain_loops() -> None:
    config = replace(NOTHING, text=2.0, residual=0.5, group=0.7, clip=0.9, segment=0.3, column=0.2, shift=0.1, gain=1.5)
    simulator = _simulator(config)
    draw = simulator._draw
    first, second, mixing = draw("first layer", "", 6, 16), draw("second layer", "", 16, 8), draw("mixing", "", 8, 10)
    own = {
        name: draw(name, key, 8)
        for name, key in (("class", "cat"), ("source", "cat/v_X_g02"), ("clip", "cat/v_X_g02_c01"))
    }
    moments, noise = draw("segment", "cat/v_X_g02_c01", 3, 8), draw("column", "cat/v_X_g02_c01", 10)
    expected = np.zeros((3, 10))
    for t in range(3):
        for d in range(10):
            total = 0.1 + 0.2 * noise[d]
            for k in range(8):
                hidden = [np.tanh(1.5 * sum(WORDS[1][j] * first[j, h] for j in range(6))) for h in range(16)]
                read = sum(hidden[h] * second[h, k] for h in range(16)) / 4  # sqrt(16)
                factor = 2.0 * read + 0.5 * own["class"][k] + 0.7 * own["source"][k] + 0.9 * own["clip"][k]
                total += (factor + 0.3 * moments[t, k]) * mixing[k, d] / 8**0.5
            expected[t, d] = max(total, 0)
    rows = simulator.rows(simulator.centre("cat", WORDS[1]), "cat", "v_X_g02_c01", 3)
    assert rows.dtype == np.float32
    np.testing.assert_allclose(rows, expected, atol=1e-6)
    assert (rows == 0).any() and (rows > 0).any()


def test_without_a_residual_classes_of_one_text_vector_are_the_same_and_with_one_they_are_not() -> None:
    simulator = _simulator(replace(NOTHING, text=1.0))
    assert np.array_equal(simulator.centre("cat", WORDS[0]), simulator.centre("dog", WORDS[0]))
    assert not np.allclose(simulator.centre("cat", WORDS[0]), simulator.centre("cat", WORDS[1]))
    simulator = _simulator(replace(NOTHING, text=1.0, residual=1.0))
    assert not np.allclose(simulator.centre("cat", WORDS[0]), simulator.centre("dog", WORDS[0]))


def test_sound_carries_less_of_the_class_by_the_given_factor() -> None:
    config = replace(NOTHING, text=1.0, residual=1.0)
    weak, strong = (_simulator(replace(config, audio=a), "audio").centre("cat", WORDS[0]) for a in (0.25, 1.0))
    np.testing.assert_allclose(weak, strong / 4)
    seen = (_simulator(replace(config, audio=a)).centre("cat", WORDS[0]) for a in (0.25, 1.0))
    np.testing.assert_array_equal(*seen)


def test_clips_of_one_recording_share_its_part_and_nothing_else_does() -> None:
    config = replace(NOTHING, group=1.0, shift=5.0)
    first, same, other = (_row(config, clip) for clip in ("v_X_g01_c01", "v_X_g01_c02", "v_X_g02_c01"))
    assert np.array_equal(first, same)
    assert not np.allclose(first, other)
    config = replace(NOTHING, clip=1.0, shift=5.0)
    assert not np.allclose(_row(config, "v_X_g01_c01"), _row(config, "v_X_g01_c02"))


@pytest.mark.parametrize(
    ("clip", "source"),
    [
        ("v_Archery_g01_c03", "v_Archery_g01"),
        ("v_Archery_g25_c10", "v_Archery_g25"),
        ("-IkL9Kq9zfQ_0", "-IkL9Kq9zfQ"),
        ("38ZxXyECPPU_000130", "38ZxXyECPPU"),
        ("apple 3", "apple 3"),
        ("short_1", "short_1"),
    ],
)
def test_the_source_is_read_from_the_name(clip: str, source: str) -> None:
    assert source_of(clip) == source


def test_the_same_seed_gives_the_same_rows_in_any_order_and_another_seed_others() -> None:
    config = SimulationConfig()
    one, two = _simulator(config), _simulator(config)
    first = [one.rows(one.centre("cat", WORDS[0]), "cat", clip, 2).tobytes() for clip in ("a", "b", "c")]
    second = [two.rows(two.centre("cat", WORDS[0]), "cat", clip, 2).tobytes() for clip in ("c", "b", "a")]
    assert first == second[::-1]
    assert _row(config, seed=1).tobytes() != _row(config, seed=0).tobytes()


def test_seconds_change_from_one_to_the_next_and_lengths_keep_their_range() -> None:
    rows = _row(replace(NOTHING, segment=1.0, shift=5.0), seconds=4)
    assert len({row.tobytes() for row in rows}) == 4
    config = replace(NOTHING, shortest=2, longest=4)
    lengths = {seconds_of(config, "cat", str(clip), 0) for clip in range(60)}
    assert lengths == {2, 3, 4}


def test_parts_have_the_strength_that_is_asked_for() -> None:
    """Without the ReLU's cut, the spread over many clips is that of the latent part."""
    config = replace(NOTHING, clip=0.8, column=0.6, shift=10.0, latent=64)
    simulator = Simulator(config, "visual", 400, 6, 0)
    rows = np.concatenate([simulator.rows(np.zeros(64), "cat", str(clip), 1) for clip in range(300)])
    assert rows.mean() == pytest.approx(10, abs=0.02)
    assert rows.std(axis=0).mean() == pytest.approx((0.8**2 + 0.6**2) ** 0.5, rel=0.03)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"text": -1}, "text must be 0 or more"),
        ({"gain": float("inf")}, "gain must be 0 or more, and finite"),
        ({"shift": 11}, "shift must lie"),
        ({"latent": 0}, "latent and hidden must be at least 1"),
        ({"shortest": 5, "longest": 4}, "at most longest"),
    ],
)
def test_numbers_out_of_range_are_refused(change: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(SimulationConfig(), **change)  # type: ignore[arg-type]


def test_the_docs_name_every_strength_with_its_default() -> None:
    page = (Path(__file__).resolve().parents[2] / "docs" / "benchmark.md").read_text(encoding="utf-8")
    section = page.split("## Simulated features")[1]
    told = {}
    for names, text, default in re.findall(r"^\| (`.+?`) \| (.*) \| ?(.*) \|$", section, re.MULTILINE):
        numbers = re.findall(r"\d+(?:\.\d+)?", default or text)
        told |= dict(zip(re.findall(r"`(\w+)`", names), map(float, numbers), strict=True))
    assert told == {name: float(value) for name, value in asdict(SimulationConfig()).items()}
