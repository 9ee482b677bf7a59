"""Tucker fusion against the dense tensor, built by hand and by tensorly."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from avzsl.errors import SettingError
from avzsl.nn.tucker import TuckerFusion, energy_rank

F64 = torch.float64


def fusion(slice_rank: int = 0, rank: int = 4) -> TuckerFusion:
    torch.manual_seed(0)
    return TuckerFusion(5, 6, 7, rank, slice_rank).double()


def inputs(rows: int = 3) -> tuple[Tensor, Tensor]:
    torch.manual_seed(1)
    return torch.randn(rows, 5, dtype=F64), torch.randn(rows, 6, dtype=F64)


def dense(made: TuckerFusion) -> Tensor:
    """T of Eq. 11, summed entry by entry."""
    core = made.core()
    full = torch.zeros(5, 6, 7, dtype=F64)
    for i in range(made.rank):
        for j in range(made.rank):
            for k in range(made.rank):
                s, t, o = made.semantic_factor[:, i], made.temporal_factor[:, j], made.output_factor[:, k]
                full += core[i, j, k] * s[:, None, None] * t[None, :, None] * o[None, None, :]
    return full


@pytest.mark.parametrize("slice_rank", [0, 1, 2])
def test_fusion_is_the_bilinear_model_of_its_dense_tensor(slice_rank: int) -> None:
    made = fusion(slice_rank)
    semantic, temporal = inputs()
    expected = torch.einsum("bi,bj,ijk->bk", semantic, temporal, dense(made))
    assert torch.allclose(made(semantic, temporal), expected, atol=1e-12)


def test_fusion_agrees_with_tensorly() -> None:
    tensorly = pytest.importorskip("tensorly")
    made = fusion()
    semantic, temporal = inputs()
    factors = [f.detach().numpy() for f in (made.semantic_factor, made.temporal_factor, made.output_factor)]
    full = tensorly.tucker_to_tensor((made.core().detach().numpy(), factors))
    for b, row in enumerate(made(semantic, temporal)):
        vectors = [semantic[b].numpy(), temporal[b].numpy()]
        expected = tensorly.tenalg.multi_mode_dot(full, vectors, modes=[0, 1])
        assert torch.allclose(row, torch.from_numpy(expected), atol=1e-12)


def test_slices_of_the_core_have_the_rank_they_are_limited_to() -> None:
    core = fusion(slice_rank=2).core()
    for k in range(4):
        assert torch.linalg.matrix_rank(core[:, :, k]) == 2


def test_one_entry_by_hand() -> None:
    made = TuckerFusion(1, 1, 1, 2)
    with torch.no_grad():
        made.semantic_factor.copy_(torch.tensor([[1.0, 2.0]]))
        made.temporal_factor.copy_(torch.tensor([[3.0, 5.0]]))
        made.output_factor.copy_(torch.tensor([[1.0, 10.0]]))
        made.free_core.copy_(torch.tensor([[[1.0, 0.0], [2.0, 1.0]], [[0.0, 1.0], [1.0, 0.0]]]))
    # r̃ = (2, 4), s̃ = (9, 15): y_0 = 2·9·1 + 2·15·2 + 4·15·1 = 138, y_1 = 2·15·1 + 4·9·1 = 66
    fused = made(torch.tensor([[2.0]]), torch.tensor([[3.0]]))
    assert fused.item() == pytest.approx(138 + 660)


def test_parameters_are_a_small_part_of_the_full_tensor() -> None:
    made = TuckerFusion(512, 512, 512, 60)
    count = sum(p.numel() for p in made.parameters())
    assert count == 3 * 512 * 60 + 60**3 == 308_160
    assert count < 512**3 / 400
    sliced = TuckerFusion(512, 512, 512, 60, slice_rank=10)
    assert sum(p.numel() for p in sliced.parameters()) == 3 * 512 * 60 + 2 * 10 * 60**2


@pytest.mark.parametrize("slice_rank", [0, 2])
@pytest.mark.parametrize("keep", [1, 3, 4])
def test_a_leading_part_equals_a_core_with_the_rest_zero(slice_rank: int, keep: int) -> None:
    made = fusion(slice_rank)
    semantic, temporal = inputs()
    core = made.core().clone()
    core[keep:], core[:, keep:], core[:, :, keep:] = 0, 0, 0
    r, s = semantic @ made.semantic_factor, temporal @ made.temporal_factor
    expected = torch.einsum("bi,bj,ijk->bk", r, s, core) @ made.output_factor.T
    assert torch.allclose(made(semantic, temporal, keep), expected, atol=1e-12)
    by_row = made(semantic, temporal, torch.full((3,), keep))
    assert torch.allclose(by_row, expected, atol=1e-12)


def test_each_row_may_keep_its_own_part() -> None:
    made = fusion()
    semantic, temporal = inputs()
    mixed = made(semantic, temporal, torch.tensor([1, 4, 2]))
    for b, keep in enumerate((1, 4, 2)):
        assert torch.allclose(mixed[b], made(semantic[b : b + 1], temporal[b : b + 1], keep)[0], atol=1e-12)


def test_gradients_reach_every_factor() -> None:
    for slice_rank in (0, 2):
        made = fusion(slice_rank)
        made(*inputs()).square().sum().backward()
        for name, parameter in made.named_parameters():
            assert parameter.grad is not None and parameter.grad.abs().sum() > 0, name


@pytest.mark.parametrize("steps", [3, 12])
def test_energy_rank_agrees_with_singular_values(steps: int) -> None:
    torch.manual_seed(0)
    values = torch.randn(5, steps, 8, dtype=F64) @ torch.diag(0.5 ** torch.arange(8.0, dtype=F64))
    for b, keep in enumerate(energy_rank(values, 0.9).tolist()):
        squares = torch.linalg.svdvals(values[b]).square()
        needed = next(k for k in range(1, 99) if squares[:k].sum() >= 0.9 * squares.sum())
        expected = -(-needed * 8 // len(squares))
        assert keep == expected


def test_energy_rank_by_hand() -> None:
    # Singular values (squared) 16, 3, 1 of 20: one holds 80 %, two hold 95 %.
    step = torch.diag(torch.tensor([4.0, 3.0**0.5, 1.0])).unsqueeze(0)
    padded = torch.nn.functional.pad(step, (0, 57))  # T = 3, R = 60
    assert energy_rank(padded, 0.80).tolist() == [20]
    assert energy_rank(padded, 0.95).tolist() == [40]
    assert energy_rank(padded, 0.96).tolist() == [60]
    assert energy_rank(torch.zeros(1, 3, 60)).tolist() == [20]


def test_a_core_without_components_is_refused() -> None:
    with pytest.raises(SettingError, match="rank 0"):
        TuckerFusion(5, 6, 7, 0)
