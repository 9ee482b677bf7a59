"""Cut a batch into pieces that fit the processor's cache."""

from __future__ import annotations

import torch

# Elements of one tensor that are worked on together: half a megabyte of float32.
CHUNK_ELEMENTS = 131_072
# PyTorch's vectorised loops finish the end of a tensor with scalar code that may round differently. A multiple of this
# many rows puts every cut where the uncut tensor has a vector's edge, so that cutting changes no bit.
ROWS = 32


def chunks(rows: int, row_elements: int, device: torch.device) -> list[slice]:
    """Slices that cover `rows` rows of `row_elements` elements each; a single one on a graphics card."""
    if device.type != "cpu":
        return [slice(0, rows)]  # there each piece would cost a launch and win nothing
    size = max(ROWS, CHUNK_ELEMENTS // max(1, row_elements) // ROWS * ROWS)
    return [slice(start, start + size) for start in range(0, rows, size)]
