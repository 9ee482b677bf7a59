"""Feed-forward parts: the segment encoder (Sec. III-A.1), projection and reconstruction heads (Sec. III-D)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from avzsl.nn.dense import hooked, norm_relu_dropout
from avzsl.nn.dropout import Dropout
from avzsl.nn.products import Linear


class RowNorm(nn.BatchNorm1d):
    """Batch norm over rows that falls back to its running statistics when a training batch has a single row.

    One row has no variance, so torch refuses it. A last batch of one clip, or embedding one clip while in training
    mode, is no reason to stop: the running statistics are the best estimate there is, and they stay as they were.
    """

    def forward(self, rows: Tensor) -> Tensor:
        """Normalise [N, d] rows."""
        if self.training and len(rows) < 2:
            return nn.functional.batch_norm(
                rows, self.running_mean, self.running_var, self.weight, self.bias, False, 0.0, self.eps
            )
        return super().forward(rows)


def dense(inputs: int, outputs: int, dropout: float) -> list[nn.Module]:
    """One Linear · BatchNorm · ReLU · Dropout layer as a list of modules, for `DenseLayers`."""
    return [Linear(inputs, outputs), RowNorm(outputs), nn.ReLU(), Dropout(dropout)]


class DenseLayers(nn.Sequential):
    """Modules one after the other; each run of RowNorm, ReLU and Dropout is one step (`norm_relu_dropout`)."""

    def forward(self, rows: Tensor) -> Tensor:
        """Map [N, d]."""
        layers, place = list(self), 0
        while place < len(layers):
            match layers[place : place + 3]:
                case [RowNorm() as norm, nn.ReLU() as relu, Dropout() as dropout] if not hooked(relu):
                    rows, place = norm_relu_dropout(rows, norm, dropout), place + 3
                case _:
                    rows, place = layers[place](rows), place + 1
        return rows


class SegmentEncoder(nn.Module):
    """Encoder E_m: two Linear · BatchNorm · ReLU · Dropout layers on every segment (Sec. III-A.1).

    Padded segments never enter the layers, so they cannot move the batch statistics.

    Args:
        inputs: d_m, width of one segment.
        width: h, width of both layers.
        dropout: d_enc.
    """

    def __init__(self, inputs: int, width: int, dropout: float) -> None:
        super().__init__()
        self.width = width
        self.layers = DenseLayers(*dense(inputs, width, dropout), *dense(width, width, dropout))

    def forward(self, features: Tensor, mask: Tensor | None = None) -> Tensor:
        """Encode segments.

        Args:
            features: [B, L, d_m].
            mask: [B, L] bool, True for a real segment; None when all are real.

        Returns:
            [B, L, h], zero at padded segments.
        """
        if mask is None:
            encoded: Tensor = self.layers(features.flatten(0, 1))
            return encoded.view(*features.shape[:2], self.width)
        rows: Tensor = self.layers(features[mask])
        padded = rows.new_zeros(*mask.shape, self.width)
        padded[mask] = rows
        return padded


class ProjectionHead(nn.Module):
    """Pro of Eq. 15: two Linear · BatchNorm · ReLU · Dropout layers, for clips and for text.

    Args:
        inputs: width of a row.
        hidden: width between the layers (free: the paper names 512, its parameter count speaks for less).
        outputs: p, size of the joint space.
        dropout: d_dec for clips, d_tex for text.
    """

    def __init__(self, inputs: int, hidden: int, outputs: int, dropout: float) -> None:
        super().__init__()
        self.layers = DenseLayers(*dense(inputs, hidden, dropout), *dense(hidden, outputs, dropout))

    def forward(self, rows: Tensor) -> Tensor:
        """Map [B, inputs] to [B, outputs], non-negative."""
        projected: Tensor = self.layers(rows)
        return projected


class ReconstructionHead(nn.Module):
    """F_rec of Eq. 18: from the joint space back to text vectors, two linear layers.

    Our reading: the last layer is bare, because text vectors have negative entries that a ReLU could not reach.

    Args:
        inputs: p, size of the joint space.
        hidden: width between the layers.
        outputs: d_w, size of a text vector.
        dropout: d_dec.
    """

    def __init__(self, inputs: int, hidden: int, outputs: int, dropout: float) -> None:
        super().__init__()
        self.layers = DenseLayers(*dense(inputs, hidden, dropout), Linear(hidden, outputs))

    def forward(self, rows: Tensor) -> Tensor:
        """Map [B, p] to [B, d_w]."""
        reconstructed: Tensor = self.layers(rows)
        return reconstructed


def masked_mean(values: Tensor, mask: Tensor | None = None) -> Tensor:
    """Mean over the real segments.

    Args:
        values: [B, L, h].
        mask: [B, L] bool; None when all are real.

    Returns:
        [B, h]; a row without any real segment gives zeros.
    """
    if mask is None:
        return values.mean(1)
    weights = mask.to(values.dtype).unsqueeze(-1)
    return torch.sum(values * weights, 1) / weights.sum(1).clamp(min=1)
