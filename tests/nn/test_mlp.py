"""The encoder and the heads against layers written out by hand."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from avzsl.nn.mlp import ProjectionHead, ReconstructionHead, RowNorm, SegmentEncoder, masked_mean


def test_segment_encoder_is_two_linear_norm_relu_layers() -> None:
    torch.manual_seed(0)
    encoder = SegmentEncoder(5, 4, 0.0).double().train()
    features = torch.randn(3, 2, 5, dtype=torch.float64)
    rows = features.reshape(6, 5)
    for linear, norm in ((encoder.layers[0], encoder.layers[1]), (encoder.layers[4], encoder.layers[5])):
        rows = rows @ linear.weight.T + linear.bias
        rows = (rows - rows.mean(0)) / torch.sqrt(rows.var(0, unbiased=False) + norm.eps)
        rows = torch.clamp(rows * norm.weight + norm.bias, min=0)
    assert torch.allclose(encoder(features), rows.reshape(3, 2, 4))


def test_padded_segments_move_neither_results_nor_statistics() -> None:
    torch.manual_seed(0)
    features = torch.randn(3, 4, 5)
    mask = torch.tensor([[1, 1, 1, 0], [1, 0, 0, 0], [1, 1, 1, 1]], dtype=torch.bool)
    encoders = []
    for filler in (0.0, 1e6):
        torch.manual_seed(1)
        encoder = SegmentEncoder(5, 4, 0.0).train()
        filled = torch.where(mask.unsqueeze(2), features, torch.tensor(filler))
        encoders.append((encoder(filled, mask), encoder.layers[1].running_mean.clone()))
    assert torch.equal(encoders[0][0], encoders[1][0])
    assert torch.equal(encoders[0][1], encoders[1][1])
    assert not encoders[0][0][~mask].any()


def test_a_full_mask_equals_no_mask() -> None:
    encoder = SegmentEncoder(5, 4, 0.0).eval()
    features = torch.randn(3, 2, 5)
    assert torch.allclose(encoder(features, torch.ones(3, 2, dtype=torch.bool)), encoder(features))


def test_one_row_in_training_uses_the_running_statistics_and_leaves_them() -> None:
    norm = RowNorm(3)
    norm.running_mean.copy_(torch.tensor([1.0, 2.0, 3.0]))
    norm.running_var.copy_(torch.tensor([4.0, 4.0, 4.0]))
    norm.train()
    result = norm(torch.tensor([[3.0, 2.0, 1.0]]))
    assert torch.allclose(result, torch.tensor([[1.0, 0.0, -1.0]]), atol=1e-5)
    assert norm.running_mean.tolist() == [1.0, 2.0, 3.0]
    assert norm.num_batches_tracked == 0


def test_two_rows_in_training_use_their_own_statistics() -> None:
    norm = RowNorm(1).train()
    assert torch.allclose(norm(torch.tensor([[1.0], [3.0]])), torch.tensor([[-1.0], [1.0]]), atol=1e-4)
    assert norm.num_batches_tracked == 1


def test_projection_is_non_negative_and_reconstruction_is_not_clipped() -> None:
    torch.manual_seed(0)
    rows = torch.randn(64, 6)
    projected = ProjectionHead(6, 8, 5, 0.0).train()(rows)
    reconstructed = ReconstructionHead(5, 8, 7, 0.0).train()(projected)
    assert projected.shape == (64, 5)
    assert projected.min() == 0
    assert reconstructed.shape == (64, 7)
    assert (reconstructed < 0).any()


@pytest.mark.parametrize("training", [True, False])
def test_heads_are_the_layers_of_equation_15(training: bool) -> None:
    """Projection: twice Linear, BatchNorm, ReLU. Reconstruction: the same once, then a bare Linear."""
    torch.manual_seed(0)
    rows = torch.randn(6, 5, dtype=torch.float64)
    for head in (ProjectionHead(5, 4, 3, 0.0), ReconstructionHead(5, 4, 3, 0.0)):
        head.double().train(training)
        expected = rows
        for linear, norm in ((head.layers[0], head.layers[1]), (head.layers[4], None)):
            expected = expected @ linear.weight.T + linear.bias
            norm = head.layers[5] if norm is None and isinstance(head, ProjectionHead) else norm
            if norm is None:
                continue
            norm.running_mean.fill_(0.3)
            norm.running_var.fill_(1.7)
            mean, variance = norm.running_mean.clone(), norm.running_var.clone()
            if training:
                mean, variance = expected.mean(0), expected.var(0, unbiased=False)
            expected = torch.clamp((expected - mean) / torch.sqrt(variance + norm.eps), min=0)
        assert torch.allclose(head(rows), expected)


def test_dropout_follows_every_relu_at_the_given_rate() -> None:
    torch.manual_seed(0)
    kinds = {
        SegmentEncoder: (SegmentEncoder(5, 64, 0.4), 2),
        ProjectionHead: (ProjectionHead(5, 64, 64, 0.4), 2),
        ReconstructionHead: (ReconstructionHead(5, 64, 64, 0.4), 1),
    }
    for kind, (part, count) in kinds.items():
        layers = list(part.layers)
        after = [layers[i + 1] for i, layer in enumerate(layers) if isinstance(layer, nn.ReLU)]
        assert [getattr(layer, "p", None) for layer in after] == [0.4] * count, kind
        assert sum(isinstance(layer, nn.Dropout) for layer in layers) == count, kind
    # a ReLU after batch norm silences half of the units, dropout 40 % of the others
    silent = (kinds[ProjectionHead][0].train()(torch.randn(400, 5)) == 0).float().mean()
    assert silent.item() == pytest.approx(1 - 0.5 * 0.6, abs=0.05)


@pytest.mark.parametrize("hidden", [3, 128])
def test_head_has_the_parameters_its_widths_give(hidden: int) -> None:
    head = ProjectionHead(512, hidden, 64, 0.1)
    expected = 512 * hidden + hidden + 2 * hidden + hidden * 64 + 64 + 2 * 64
    assert sum(p.numel() for p in head.parameters()) == expected


def test_masked_mean_by_hand() -> None:
    values = torch.tensor([[[1.0], [3.0], [100.0]], [[5.0], [7.0], [9.0]], [[4.0], [4.0], [4.0]]])
    mask = torch.tensor([[1, 1, 0], [1, 1, 1], [0, 0, 0]], dtype=torch.bool)
    assert masked_mean(values, mask).squeeze(1).tolist() == [2.0, 7.0, 0.0]
    assert masked_mean(values).squeeze(1).tolist() == [pytest.approx(104 / 3), 7.0, 4.0]
