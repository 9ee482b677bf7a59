from __future__ import annotations

import pytest
import torch

from avzsl.nn.chunks import CHUNK_ELEMENTS, ROWS, chunks


@pytest.mark.parametrize("rows", [0, 1, 31, 32, 33, 512])
@pytest.mark.parametrize("row_elements", [0, 1, 1000, CHUNK_ELEMENTS, 10 * CHUNK_ELEMENTS])
def test_slices_cover_every_row_once_and_cut_at_whole_vectors(rows: int, row_elements: int) -> None:
    found = chunks(rows, row_elements, torch.device("cpu"))
    assert [row for piece in found for row in range(rows)[piece]] == list(range(rows))
    assert all(piece.start % ROWS == 0 for piece in found)


def test_slices_are_as_large_as_the_cache_allows() -> None:
    first, *rest = chunks(1000, 1024, torch.device("cpu"))
    assert (first.stop - first.start) * 1024 == CHUNK_ELEMENTS
    assert len(rest) == 7


def test_a_graphics_card_gets_everything_at_once() -> None:
    assert chunks(10**6, 1024, torch.device("cuda")) == [slice(0, 10**6)]
