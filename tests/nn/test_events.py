"""Events: the worked example of one pixel, invariants of the model, and the stand-in for features."""

from __future__ import annotations

import math

import pytest
import torch

from avzsl.nn.events import crossings, event_tensor, feature_events

PIXEL = torch.tensor([0.1, 0.2, 0.15, 0.6, 0.05], dtype=torch.float64).view(5, 1, 1)


def film(frames: int = 6, seed: int = 0) -> torch.Tensor:
    return torch.rand(frames, 4, 5, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_events_of_one_pixel_by_hand() -> None:
    found = crossings(PIXEL)
    assert found.counts.flatten().tolist() == [3, 0, 5, -11]
    expected = [-2.292635, -1.692635, -1.692635, -0.692635, -2.892635]
    assert found.references.flatten().tolist() == pytest.approx(expected, abs=1e-6)
    times = {0: [0.290620, 0.581240, 0.871859], 2: [2.288016, 2.432805, 2.577595], 3: [3.155456, 3.236534, 3.317612]}
    for k, wanted in times.items():
        first, spacing = found.first[k].item(), found.spacing[k].item()
        assert [first + j * spacing for j in range(3)] == pytest.approx(wanted, abs=1e-6)


def test_event_tensor_of_one_pixel_by_hand() -> None:
    # Four intervals in eight parts of half a frame. Positive: 0.29 | 0.58, 0.87 | then 2.29, 2.43 | 2.58, 2.72, 2.87.
    # Negative: 3.16 ... 3.48 | 3.56 ... 3.97.
    events = event_tensor(PIXEL, 8).view(8, 2)
    assert events[:, 0].tolist() == [1, 1, 0, 0, 1, 1, 0, 0]
    assert events[:, 1].tolist() == [0, 0, 0, 0, 0, 0, 1, 1]
    assert events.dtype == torch.float32


def test_event_tensor_equals_a_loop_over_single_events() -> None:
    frames, steps = film(7), 5
    found = crossings(frames)
    expected = torch.zeros(steps, 2, 4, 5)
    for k in range(6):
        for y in range(4):
            for x in range(5):
                before, after = math.log(frames[k, y, x] + 1e-3), math.log(frames[k + 1, y, x] + 1e-3)
                level = found.references[k, y, x].item()
                up = after > level
                while abs(after - level) >= 0.2:
                    level += 0.2 if up else -0.2
                    time = k + (level - before) / (after - before)
                    expected[min(int(time * steps / 6), steps - 1), 0 if up else 1, y, x] = 1
    assert torch.equal(event_tensor(frames, steps), expected)
    assert 0.2 < expected.mean() < 0.9


def test_static_frames_give_no_events() -> None:
    still = film(1).expand(6, -1, -1)
    assert not event_tensor(still).any()
    assert event_tensor(film(1), 3).shape == (3, 2, 4, 5)
    assert not event_tensor(film(1), 3).any()


def test_events_add_up_to_the_change_of_brightness() -> None:
    frames = film(9, 3)
    found = crossings(frames, 0.13)
    total = (frames[-1] + 1e-3).log() - (frames[0] + 1e-3).log()
    assert ((0.13 * found.counts.sum(0) - total).abs() < 0.13).all()
    inside = (found.counts != 0).double()
    assert (inside.sum() > 50) and ((found.first - torch.arange(8)[:, None, None]) * inside >= 0).all()
    last = found.first + (found.counts.abs() - 1) * found.spacing
    assert ((last - torch.arange(1, 9)[:, None, None]) * inside <= 1e-9).all()


def test_a_brighter_lamp_changes_nothing() -> None:
    frames = 0.1 + 0.4 * film(6, 1)
    assert torch.equal(event_tensor(2 * frames, floor=0), event_tensor(frames, floor=0))
    assert not torch.equal(event_tensor(2 * frames, floor=0.3), event_tensor(frames, floor=0.3))


@pytest.mark.parametrize(
    ("frames", "settings", "words"),
    [
        (torch.zeros(3, 4), {}, r"\[F, H, W\]"),
        (torch.zeros(0, 3, 4), {}, "at least one frame"),
        (torch.zeros(2, 3, 4), {"contrast": 0.0}, "contrast is 0"),
        (torch.zeros(2, 3, 4), {"time_steps": 0}, "time_steps is 0"),
    ],
)
def test_wrong_calls_are_named(frames: torch.Tensor, settings: dict[str, float], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        event_tensor(frames, **settings)  # type: ignore[arg-type]


def test_jumps_of_features_above_one_deviation_are_events() -> None:
    # Segments 0, 0, 1, 1 of one clip: one movement, (4, 0, -4, 0): mean 0, deviation sqrt(8) = 2.83.
    steps = torch.tensor([[1.0, 1, 1, 1], [1, 1, 1, 1], [5, 1, -3, 1], [5, 1, -3, 1]]).unsqueeze(1)
    places = torch.tensor([[0], [0], [1], [1]])
    events = feature_events(steps, places, torch.tensor([False])).squeeze(1)
    assert events[2].tolist() == [1, 0, 0, 0, 0, 0, 1, 0]
    assert not events[[0, 1, 3]].any()
    # Two movements, (4, 0, -4, 0) and (1, 1, 1, 1): mean 0.5, deviation sqrt((12.25 + 20.25 + 5 · 0.25 + ...) / 8).
    more = torch.tensor([[1.0, 1, 1, 1], [5, 1, -3, 1], [6, 2, -2, 2], [6, 2, -2, 2]]).unsqueeze(1)
    found = feature_events(more, torch.tensor([[0], [1], [2], [2]]), torch.tensor([False])).squeeze(1)
    limit = torch.tensor([4.0, 0, -4, 0, 1, 1, 1, 1]).std(unbiased=False).item()
    assert 1 < limit < 4
    assert found[1].tolist() == [1, 0, 0, 0, 0, 0, 1, 0] and not found[[0, 2, 3]].any()


def test_the_deviation_is_that_of_movements_alone_around_their_mean() -> None:
    generator = torch.Generator().manual_seed(6)
    values = torch.randn(4, 5, 40, generator=generator) + 2 * torch.arange(5.0)[:, None]  # all entries climb
    places = torch.tensor([[0, 0, 1, 2, 2, 2, 3, 4], [0, 0, 0, 0, 1, 1, 1, 1], [0, 1, 2, 3, 4, 4, 4, 4], [0] * 8]).T
    steps = values[torch.arange(4), places]
    found = feature_events(steps, places, torch.zeros(4, dtype=torch.bool))
    for clip in range(4):
        jumps = {t: steps[t, clip] - steps[t - 1, clip] for t in range(1, 8) if places[t, clip] != places[t - 1, clip]}
        limit = torch.cat(list(jumps.values())).std(unbiased=False) if jumps else torch.zeros(())
        for t in range(8):
            jump = jumps.get(t, torch.zeros(40))
            expected = torch.cat([jump > limit, jump < -limit]) if jumps else torch.zeros(80)
            assert torch.equal(found[t, clip], expected.float()), (clip, t)


def test_a_clip_of_one_segment_shows_itself() -> None:
    steps = torch.tensor([[[2.0, -3.0]]])
    wanted = [2, 0, 0, 3]
    assert feature_events(steps, torch.zeros(1, 1, dtype=torch.long), torch.tensor([True])).flatten().tolist() == wanted
    beside = torch.stack([steps[0], torch.tensor([[1.0, 1.0]])], 1).expand(3, -1, -1)
    found = feature_events(beside, torch.zeros(3, 2, dtype=torch.long), torch.tensor([True, False]))
    assert found[:, 0].tolist() == [wanted] * 3
    assert not found[:, 1].any()


def test_events_of_a_clip_do_not_depend_on_its_neighbours() -> None:
    generator = torch.Generator().manual_seed(4)
    steps, places = torch.randn(5, 3, 6, generator=generator), torch.arange(5)[:, None].expand(-1, 3)
    single = torch.zeros(3, dtype=torch.bool)
    together = feature_events(steps, places, single)
    for clip in range(3):
        alone = feature_events(steps[:, clip : clip + 1], places[:, :1], single[:1])
        assert torch.equal(alone[:, 0], together[:, clip])
    assert 0.1 < together[1:].mean() < 0.3  # about a third of all movements is beyond one deviation
