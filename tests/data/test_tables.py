"""Gathering clips against a plain loop; spans share memory; averaging segments."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from avzsl.data.tables import FeatureTable, Pool, Ragged, average_segments


def ragged(lengths: list[int], columns: int = 3) -> tuple[Ragged, list[Tensor]]:
    """A ragged table and its clips one by one."""
    clips = [torch.randn(n, columns, generator=torch.Generator().manual_seed(i)) for i, n in enumerate(lengths)]
    offsets = torch.tensor([0, *lengths]).cumsum(0)
    return Ragged(torch.cat(clips), offsets), clips


@given(st.lists(st.integers(1, 5), min_size=1, max_size=6), st.data())
@settings(max_examples=80, deadline=None)
def test_ragged_clips_are_padded_and_masked_like_a_plain_loop(lengths: list[int], data: st.DataObject) -> None:
    table, clips = ragged(lengths)
    rows = data.draw(st.lists(st.integers(0, len(lengths) - 1), min_size=1, max_size=8))
    values, mask = table.gather(torch.tensor(rows))
    longest = max(lengths[r] for r in rows)
    assert values.shape == (len(rows), longest, 3)
    for place, row in enumerate(rows):
        assert torch.equal(values[place, : lengths[row]], clips[row])
        assert (values[place, lengths[row] :] == 0).all()
        if mask is not None:
            assert mask[place].tolist() == [i < lengths[row] for i in range(longest)]
    assert (mask is None) == (len({lengths[r] for r in rows}) == 1)


def test_all_clips_come_without_rows() -> None:
    table, _ = ragged([2, 1, 3])
    for (a, b), (c, d) in [(table.gather(None), table.gather(torch.arange(3)))]:
        assert torch.equal(a, c) and b is not None and d is not None and torch.equal(b, d)
    flat = Ragged(torch.randn(4, 2))
    values, mask = flat.gather(None)
    assert values.shape == (4, 1, 2) and mask is None
    assert values.data_ptr() == flat.data.data_ptr()


def test_padding_never_carries_a_neighbour_even_if_it_is_not_finite() -> None:
    table = Ragged(torch.tensor([[1.0], [torch.inf], [torch.inf]]), torch.tensor([0, 1, 3]))
    values, _ = table.gather(torch.tensor([0, 1]))
    assert values[0].flatten().tolist() == [1, 0]


def test_averaged_rows_keep_order_and_repetition() -> None:
    table = FeatureTable(Ragged(torch.arange(6.0).view(3, 2)), None)
    clips = table.clips(torch.tensor([2, 0, 2]))
    assert clips.audio is not None and clips.audio[:, 0].tolist() == [[4, 5], [0, 1], [4, 5]]
    assert clips.visual is None and clips.audio_mask is None


def test_a_span_equals_gathering_and_shares_memory() -> None:
    table, _ = ragged([2, 1, 3, 2])
    part = table.span(1, 3)
    assert len(part) == 2
    for whole, cut in zip(table.gather(torch.tensor([1, 2])), part.gather(None), strict=True):
        assert whole is not None and cut is not None and torch.equal(whole, cut)
    assert part.data.untyped_storage().data_ptr() == table.data.untyped_storage().data_ptr()
    flat = FeatureTable(Ragged(torch.randn(5, 2)), Ragged(torch.randn(5, 3)))
    assert len(flat.span(2, 5)) == 3
    assert torch.equal(flat.span(2, 5).clips().visual, flat.clips(torch.tensor([2, 3, 4])).visual)  # type: ignore[arg-type]


def test_one_modality_can_be_dropped() -> None:
    table = FeatureTable(Ragged(torch.randn(2, 3)), Ragged(torch.randn(2, 4)))
    assert table.only("audio").visual is None and table.only("visual").audio is None
    assert table.only("both").audio is table.audio


def test_tables_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="2 audio clips but 3"):
        FeatureTable(Ragged(torch.zeros(2, 1)), Ragged(torch.zeros(3, 1)))
    with pytest.raises(ValueError, match="needs audio"):
        FeatureTable(None, None)


@given(st.lists(st.integers(1, 12), min_size=1, max_size=5), st.integers(1, 6))
@settings(max_examples=80, deadline=None)
def test_averaging_segments_equals_a_plain_loop(lengths: list[int], most: int) -> None:
    table, clips = ragged(lengths)
    assert table.offsets is not None
    short = average_segments(table.data, table.offsets, most)
    assert short.offsets is not None
    for i, clip in enumerate(clips):
        rows = short.data[int(short.offsets[i]) : int(short.offsets[i + 1])]
        length = len(clip)
        if length <= most:
            assert torch.equal(rows, clip)
            continue
        groups: list[list[Tensor]] = [[] for _ in range(most)]
        for position, row in enumerate(clip):
            groups[position * most // length].append(row)
        assert all(groups)
        assert torch.allclose(rows, torch.stack([torch.stack(g).mean(0) for g in groups]), atol=1e-6)


def test_averaging_to_one_segment_gives_the_mean() -> None:
    table, clips = ragged([4, 1, 7])
    assert table.offsets is not None
    one = average_segments(table.data, table.offsets, 1)
    assert torch.allclose(one.data, torch.stack([clip.mean(0) for clip in clips]), atol=1e-6)
    assert one.offsets is not None and one.offsets.tolist() == [0, 1, 2, 3]


def test_a_pool_moves_as_a_whole() -> None:
    pool = Pool(FeatureTable(Ragged(torch.zeros(1, 2)), None), torch.zeros(1).long(), torch.zeros(1, 3), ("a",), ("x",))
    moved = pool.to("meta")
    assert {moved.features.device.type, moved.labels.device.type, moved.classes.device.type} == {"meta"}
    assert moved.class_names == ("a",) and len(moved) == 1
