"""The five groups of losses of AVCA: numbers worked out by hand, loops, and what follows from their definition."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from avzsl.losses.cross_attention import (
    Pair,
    Trio,
    cross_attention_losses,
    decoded_triplet,
    joint_triplet,
    margin_triplet,
    own_modality_triplet,
    regulariser,
    word_reconstruction,
)

GROUPS = ("reconstruction", "decoded_triplet", "triplet", "own_triplet", "regulariser")


def row(*values: float) -> Tensor:
    return torch.tensor([values], dtype=torch.float64)


def test_triplet_by_hand() -> None:
    near, far = row(0, 1), row(3, 4)
    assert margin_triplet(row(0, 0), far, near).item() == pytest.approx(5 - 4e-7, abs=1e-9)  # 5 - 1 + 1
    assert margin_triplet(row(0, 0), near, far).item() == 0
    # The 1e-6 on every entry keeps a distance of nothing from having no gradient.
    same = row(2, 1).requires_grad_()
    margin_triplet(same, row(2, 1), row(2, 1)).backward()
    assert same.grad is not None and same.grad.isfinite().all()


def test_triplets_in_the_joint_space_by_hand() -> None:
    joint = Trio(audio=row(1, 1), visual=row(3, 0), words=row(1, 0))
    negative = Trio(audio=row(0, 0), visual=row(1, 2), words=row(0, 1))
    # d(w,a) 1, d(w,a⁻) 1, d(a,w⁻) 1, d(w,v) 2, d(w,v⁻) 2, d(v,w⁻) √10
    assert joint_triplet(joint, negative).item() == pytest.approx(1 + 1 + 1 + 0, abs=1e-5)
    root = math.sqrt(2)
    expected = (2 - root) + (3 - math.sqrt(8)) + (2 - root) + (3 - root)
    assert expected == pytest.approx(2.928932, abs=1e-6)
    assert own_modality_triplet(joint, negative).item() == pytest.approx(expected, abs=1e-5)


def test_decoded_triplets_take_the_text_as_anchor() -> None:
    decoded = Trio(audio=row(0, 2), visual=row(3, 4), words=row(0, 0))
    # 2 - 1 + 1 and 5 - 3 + 1
    assert decoded_triplet(decoded, Pair(row(1, 0), row(0, 3))).item() == pytest.approx(2 + 3, abs=1e-5)


def test_squared_errors_by_hand() -> None:
    words = row(1, 0)
    # (4 + 0)/2, (0 + 9)/2, (1 + 1)/2
    decoded = Trio(audio=row(3, 0), visual=row(1, 3), words=row(0, 1))
    assert word_reconstruction(decoded, words).item() == 2 + 4.5 + 1
    tokens, rebuilt = Pair(row(1, 1, 1), row(0, 0, 0)), Pair(row(1, 1, 4), row(3, 3, 3))
    joint = Trio(audio=row(1, 3), visual=row(2, 2), words=row(0, 2))
    assert regulariser(tokens, rebuilt, joint).item() == 3 + 9 + 1 + 2


def numbers(negatives_equal: bool = False) -> dict[str, Any]:
    generator = torch.Generator().manual_seed(0)

    def draw(width: int) -> Tensor:
        return torch.randn(5, width, generator=generator, dtype=torch.float64)

    joint, decoded = Trio(draw(4), draw(4), draw(4)), Trio(draw(6), draw(6), draw(6))
    negative_joint, negative_decoded = Trio(draw(4), draw(4), draw(4)), Pair(draw(6), draw(6))
    if negatives_equal:
        negative_joint, negative_decoded = joint, Pair(decoded.audio, decoded.visual)
    return {
        "words": draw(6), "joint": joint, "negative_joint": negative_joint, "decoded": decoded,
        "negative_decoded": negative_decoded, "tokens": Pair(draw(3), draw(3)), "rebuilt": Pair(draw(3), draw(3)),
    }  # fmt: skip


def _loops(given: dict[str, Any]) -> dict[str, float]:
    """Every group written out over single rows."""
    joint, other, decoded, gone = (given[k] for k in ("joint", "negative_joint", "decoded", "negative_decoded"))
    tokens, rebuilt, words = given["tokens"], given["rebuilt"], given["words"]

    def gap(x: Tensor, y: Tensor) -> float:
        return math.sqrt(sum((a - b + 1e-6) ** 2 for a, b in zip(x.tolist(), y.tolist(), strict=True)))

    def triplet(x: Tensor, p: Tensor, n: Tensor) -> float:
        return sum(max(0.0, gap(x[i], p[i]) - gap(x[i], n[i]) + 1) for i in range(len(x))) / len(x)

    def error(x: Tensor, y: Tensor) -> float:
        flat = zip(x.flatten().tolist(), y.flatten().tolist(), strict=True)
        return sum((a - b) ** 2 for a, b in flat) / x.numel()

    (a, v, w), (a_, v_, w_) = joint, other
    return {
        "reconstruction": sum(error(x, words) for x in decoded),
        "decoded_triplet": triplet(decoded[2], decoded[0], gone[0]) + triplet(decoded[2], decoded[1], gone[1]),
        "triplet": triplet(w, a, a_) + triplet(a, w, w_) + triplet(w, v, v_) + triplet(v, w, w_),
        "own_triplet": triplet(a, w, a_) + triplet(v, w, v_) + triplet(w, a, w_) + triplet(w, v, w_),
        "regulariser": error(rebuilt[1], tokens[1]) + error(rebuilt[0], tokens[0]) + error(v, w) + error(a, w),
    }


def test_groups_equal_loops_and_the_loss_is_their_sum() -> None:
    given = numbers()
    found = cross_attention_losses(**given)
    expected = _loops(given)
    assert tuple(expected) == GROUPS
    for name, value in expected.items():
        assert found[name].item() == pytest.approx(value, abs=1e-12), name
    assert found["loss"].item() == pytest.approx(sum(expected.values()), abs=1e-12)
    assert set(found) == {"loss", *GROUPS}


def test_equal_negatives_leave_the_margins() -> None:
    given = numbers(negatives_equal=True)
    joint = given["joint"]
    found = cross_attention_losses(**given)
    assert found["decoded_triplet"].item() == pytest.approx(2)
    assert found["triplet"].item() == pytest.approx(4)
    # d(x, y) and d(y, x) differ by the 1e-6
    gaps = [torch.linalg.vector_norm(x - joint.words, dim=1).mean().item() for x in (joint.audio, joint.visual)]
    assert found["own_triplet"].item() == pytest.approx(4 + 2 * sum(gaps), abs=1e-4)
