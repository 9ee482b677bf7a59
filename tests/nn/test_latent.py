"""The Latent Knowledge Combiner against plain loops that build every K_i^t."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from avzsl.nn.latent import LatentCombiner, align

F64 = torch.float64


def combiner(width: int = 3, slots: int = 2, mixing: float = 0.3, seed: int = 0) -> LatentCombiner:
    torch.manual_seed(seed)
    made = LatentCombiner(width, slots).double()
    with torch.no_grad():
        made.mixing.fill_(mixing)
        made.slots.mul_(3)  # so that gates are far from 1/2 and mistakes show
    return made


def plain(made: LatentCombiner, features: dict[str, Tensor], mask: Tensor) -> dict[str, Tensor]:
    """Eq. 1-3 for one clip at a time, with every K_i as a matrix."""
    results = {name: torch.zeros_like(x) for name, x in features.items()}
    width = made.slots.shape[1]
    alpha = torch.sigmoid(made.mixing)

    def read(slots: list[Tensor], x: Tensor) -> Tensor:
        return sum((torch.sigmoid(k @ x) * x for k in slots), torch.zeros_like(x))

    for b in range(len(mask)):
        slots = list(made.slots)
        real = [t for t in range(mask.shape[1]) if mask[b, t]]
        for t in real + (real if len(real) == 1 else []):
            update = torch.zeros(width, width, dtype=F64)
            for name, x in features.items():
                o = read(slots, x[b, t])
                p = torch.relu(made.gates[name](o))
                update = update + torch.outer(p, o) / width
                results[name] = results[name].index_put((torch.tensor(b), torch.tensor(t)), o)
            slots = [alpha * update + (1 - alpha) * k for k in slots]
    return results


MASKS = {
    "full": [[1, 1, 1], [1, 1, 1], [1, 1, 1]],
    "ragged with single segments": [[1, 1, 1], [1, 1, 0], [1, 0, 0]],
    "holes": [[1, 0, 1], [0, 1, 1], [0, 0, 1]],
}


@pytest.mark.parametrize("kind", MASKS)
@pytest.mark.parametrize("names", [("audio", "visual"), ("audio",)])
def test_running_sums_agree_with_materialised_slots(kind: str, names: tuple[str, ...]) -> None:
    made = combiner()
    mask = torch.tensor(MASKS[kind], dtype=torch.bool)
    features = {name: torch.rand(3, 3, 3, dtype=F64) * mask.unsqueeze(2) for name in names}
    fast, slow = made(features, mask), plain(made, features, mask)
    for name in names:
        assert torch.allclose(fast[name], slow[name], atol=1e-12)


def test_tiny_case_written_out_by_hand() -> None:
    """h = 2, n = 1, L = 2, audio only: every number can be followed on paper."""
    made = LatentCombiner(2, 1, ("audio",)).double()
    with torch.no_grad():
        made.slots.copy_(torch.tensor([[[1.0, 0.0], [0.0, -1.0]]]))
        made.gates["audio"].weight.copy_(torch.eye(2))
        made.gates["audio"].bias.zero_()
    features = torch.tensor([[[1.0, 2.0], [3.0, 1.0]]], dtype=F64)
    # t = 1: K A = (1, -2); O = (σ(1), 2 σ(-2)) = (0.731059, 0.238406); P = O.
    o = torch.sigmoid(torch.tensor([1.0, -2.0], dtype=F64)) * torch.tensor([1.0, 2.0], dtype=F64)
    # K^1 = ½ O Oᵀ / 2 + ½ K^0; t = 2: K^1 A = ¼ O (O·A) + (1.5, -0.5), O·A = 3 · 0.731059 + 0.238406 = 2.431582.
    gate = torch.sigmoid(0.25 * o * (3 * o[0] + o[1]) + torch.tensor([1.5, -0.5], dtype=F64))
    expected = torch.stack([o, gate * torch.tensor([3.0, 1.0], dtype=F64)])
    assert o.tolist() == pytest.approx([0.731059, 0.238406], abs=1e-6)
    assert torch.allclose(made({"audio": features})["audio"][0], expected)


@pytest.mark.parametrize("length", [1, 2, 3])
def test_no_mask_equals_a_full_mask(length: int) -> None:
    made = combiner()
    features = {name: torch.rand(2, length, 3, dtype=F64) for name in ("audio", "visual")}
    mask = torch.ones(2, length, dtype=torch.bool)
    expected = plain(made, features, mask)
    for given in (None, mask):
        for name, o in made(features, given).items():
            assert torch.allclose(o, expected[name], atol=1e-12)


@pytest.mark.parametrize("length", [1, 2, 3])
def test_gradients_agree_with_materialised_slots_and_reach_everything(length: int) -> None:
    mask = torch.ones(2, length, dtype=torch.bool)
    torch.manual_seed(1)
    features = {name: torch.rand(2, length, 3, dtype=F64) for name in ("audio", "visual")}
    gradients = []
    for way in (lambda made: made(features, mask), lambda made: plain(made, features, mask)):
        made = combiner()
        sum(((i + 1) * o.square()).sum() for i, o in enumerate(way(made).values())).backward()
        gradients.append({name: p.grad for name, p in made.named_parameters()})
    for name, fast in gradients[0].items():
        assert fast is not None and fast.abs().sum() > 0, name
        assert torch.allclose(fast, gradients[1][name], atol=1e-12), name


def test_order_of_slots_changes_nothing() -> None:
    made, other = combiner(slots=4), combiner(slots=4)
    with torch.no_grad():
        other.slots.copy_(made.slots[[2, 0, 3, 1]])
    features = {name: torch.rand(2, 3, 3, dtype=F64) for name in ("audio", "visual")}
    for name, o in made(features).items():
        assert torch.allclose(o, other(features)[name], atol=1e-12)


@pytest.mark.parametrize("length", [1, 3])
def test_vanishing_alpha_leaves_the_first_knowledge(length: int) -> None:
    made = combiner(mixing=-60.0)
    features = {name: torch.rand(2, length, 3, dtype=F64) for name in ("audio", "visual")}
    for name, o in made(features).items():
        x = features[name]
        expected = torch.sigmoid(torch.einsum("nij,blj->blni", made.slots, x)).sum(2) * x
        assert torch.allclose(o, expected, atol=1e-12)


def test_update_matters() -> None:
    features = {name: torch.rand(2, 1, 3, dtype=F64) for name in ("audio", "visual")}
    quiet, loud = combiner(mixing=-60.0)(features), combiner(mixing=2.0)(features)
    assert not torch.allclose(quiet["audio"], loud["audio"], atol=1e-3)


def test_batch_split_changes_nothing() -> None:
    made = combiner()
    mask = torch.tensor([[1, 1, 1], [1, 0, 0], [1, 1, 0]], dtype=torch.bool)
    features = {name: torch.rand(3, 3, 3, dtype=F64) * mask.unsqueeze(2) for name in ("audio", "visual")}
    whole = made(features, mask)
    for b in range(3):
        count = int(mask[b].sum())
        alone = made({name: x[b : b + 1, :count] for name, x in features.items()})
        for name in whole:
            assert torch.allclose(whole[name][b, :count], alone[name][0], atol=1e-12)


def test_alignment_takes_the_nearest_segment_in_time() -> None:
    audio = torch.arange(6.0).view(1, 6, 1)
    visual = torch.tensor([[[10.0], [11.0]]])
    same, stretched, mask = align(audio, visual, None, None)
    assert mask is None
    assert same.flatten().tolist() == [0, 1, 2, 3, 4, 5]
    assert stretched.flatten().tolist() == [10, 10, 10, 11, 11, 11]


def test_alignment_works_clip_by_clip_and_skips_padding() -> None:
    audio = torch.tensor([[[1.0], [2.0], [3.0]], [[4.0], [99.0], [5.0]]])
    audio_mask = torch.tensor([[1, 1, 1], [1, 0, 1]], dtype=torch.bool)
    visual = torch.tensor([[[6.0], [7.0]], [[8.0], [99.0]]])
    visual_mask = torch.tensor([[1, 1], [1, 0]], dtype=torch.bool)
    a, v, mask = align(audio, visual, audio_mask, visual_mask)
    assert mask is not None
    assert mask.tolist() == [[True, True, True], [True, True, False]]
    assert a.squeeze(2).tolist() == [[1, 2, 3], [4, 5, 0]]
    # middles 1/6, 1/2, 5/6 of the clip: segments 0, 1 (the middle of all lies where the second begins), 1
    assert v.squeeze(2).tolist() == [[6, 7, 7], [8, 8, 0]]


def test_alignment_does_not_depend_on_the_batch() -> None:
    torch.manual_seed(0)
    audio, visual = torch.randn(2, 5, 2), torch.randn(2, 3, 2)
    audio_mask = torch.arange(5) < torch.tensor([[5], [2]])
    visual_mask = torch.arange(3) < torch.tensor([[2], [3]])
    a, v, mask = align(audio, visual, audio_mask, visual_mask)
    assert mask is not None
    alone = align(audio[1:, :2], visual[1:], None, None)
    count = int(mask[1].sum())
    assert count == 3
    assert torch.equal(a[1, :count], alone[0][0])
    assert torch.equal(v[1, :count], alone[1][0])
