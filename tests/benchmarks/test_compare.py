"""A comparison whose variants disagree is an error, not a result."""

from __future__ import annotations

import pytest
import torch

from benchmarks.clock import Plan
from benchmarks.compare import DisagreementError, Missing, Outcome, Variant, compare, distance, optional
from benchmarks.record import Floor

PLAN = Plan(rounds=2, fewest=2, seconds=1, least=0.0, warmups=1)
SPIKES = torch.tensor([0.0, 1.0, 1.0])
GRADIENT = torch.tensor([1.0, -4.0, 0.0])


def _variant(name: str, spikes: torch.Tensor = SPIKES, gradient: torch.Tensor = GRADIENT, group: str = "") -> Variant:
    return Variant(name, lambda: None, lambda: Outcome({"spikes": spikes}, {"gradients": gradient}), group)


def _never() -> None:
    raise AssertionError("timed before it was checked")


def test_equal_variants_are_timed_and_the_check_is_told() -> None:
    nearly = GRADIENT + torch.tensor([0.0, 0.0, 2e-5])  # 5e-6 of the largest
    found = compare("x", [_variant("a"), _variant("b", gradient=nearly)], PLAN, 0)
    assert found.checked == "spikes equal; gradients within 5e-06 of the largest"
    assert all(row.times is not None and len(row.times.wall) == 2 for row in found.rows)


@pytest.mark.parametrize(
    ("spikes", "gradient", "said"),
    [
        (torch.tensor([0.0, 1.0, 0.0]), GRADIENT, "spikes of 'b' is not that of 'a'"),
        (SPIKES, GRADIENT + torch.tensor([0.0, 0.0, 6e-5]), "differs from 'a' by 1.5e-05"),
        (SPIKES, GRADIENT[:2], "differs from 'a' by inf"),
        (SPIKES, GRADIENT * torch.nan, "differs from 'a' by nan"),
    ],
)
def test_different_variants_are_an_error_and_nothing_is_timed(
    spikes: torch.Tensor, gradient: torch.Tensor, said: str
) -> None:
    other = _variant("b", spikes, gradient)
    variants = [Variant(v.name, _never, v.outcome) for v in (_variant("a"), other)]
    with pytest.raises(DisagreementError, match=said):
        compare("x", variants, PLAN, 0)


def test_only_variants_of_one_group_must_agree() -> None:
    found = compare("x", [_variant("a"), _variant("b", 1 - SPIKES, group="dynamic")], PLAN, 0)
    assert found.checked == ""  # there was nothing to compare with


def test_a_variant_that_does_not_run_is_reported_with_its_reason() -> None:
    def absent() -> Variant:
        import no_such_library  # type: ignore[import-not-found]

        return no_such_library.variant()  # type: ignore[no-any-return]

    def broken_call() -> object:
        raise RuntimeError("needs CUDA\nand more")

    def broken() -> Variant:
        return Variant("", broken_call)

    def works() -> Variant:
        return Variant("", lambda: 1, floor=Floor("here", 1.0))

    found = [optional("absent", absent), optional("broken", broken), optional("here", works)]
    assert isinstance(found[0], Missing)
    assert found[0].why == "ModuleNotFoundError: No module named 'no_such_library'"
    assert found[1] == Missing("broken", "RuntimeError: needs CUDA")
    rows = compare("x", found, PLAN, 0).rows
    assert [row.times is None for row in rows] == [True, True, False]
    assert rows[1].missing == "RuntimeError: needs CUDA"
    assert rows[2].name == "here"


def test_distance_by_hand() -> None:
    assert distance(torch.tensor([2.0, -8.0]), torch.tensor([2.0, -8.4])) == pytest.approx(0.05)
    assert distance(torch.zeros(2), torch.tensor([0.0, 3.0])) == 3.0
    assert distance(torch.zeros(0), torch.zeros(0)) == 0.0


def test_a_wrong_neuron_is_caught_by_the_section_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """Break our own fast path: the section must refuse to time it."""
    pytest.importorskip("spikingjelly")
    from pathlib import Path

    from benchmarks.context import Context
    from benchmarks.sections import lif as section

    right = section.lif

    def wrong(current: torch.Tensor, params: object, threshold: float, fast: bool) -> object:
        return right(current, params, threshold + 0.3 * fast, fast=fast)  # type: ignore[arg-type]

    monkeypatch.setattr(section, "lif", wrong)
    with pytest.raises(DisagreementError, match="spikes of 'avzsl'"):
        section.run(Context("tiny", 1, 0, Path()))
