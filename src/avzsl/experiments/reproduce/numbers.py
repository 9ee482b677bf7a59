"""Ours beside the paper's: mean, spread, difference, verdict, and whether an order holds. Plain arithmetic."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from avzsl.experiments.ranking import summarise

WITHIN, ABOVE, BELOW, NOT_COMPARABLE = "within the band", "above", "below", "not comparable"
# Points within which a number counts as the paper's even when its own spread is smaller: the paper gives one run.
LEAST_BAND = 1.0
BAND_RULE = (
    f"A number is within the band when it lies within the larger of {LEAST_BAND:.1f} point and two standard deviations"
    " of ours around the paper's number; else it is above or below."
)
HOLDS, LEANS, LEANS_AGAINST, REVERSED = "holds", "leans the paper's way", "leans the other way", "reversed"
SAME_SIGN, OTHER_SIGN = "same sign, one seed", "other sign, one seed"
EQUAL = "no difference"
ORDER_RULE = (
    "Differences are paired: both sides were trained with the same seeds and judged on the same clips. Two 95 %"
    " intervals stand beside each: Student's over the seeds, and a bootstrap over the test classes. The paper's order"
    " holds (or is reversed) when both leave out zero; else it only leans."
)
# Two-sided 95 % quantiles of Student's t for 1, 2, ... degrees of freedom.
_STUDENT = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228)

Record = Mapping[str, Any]


def score(values: Mapping[str, float], printed: float | None, comparable: bool) -> dict[str, Any]:
    """Ours over seeds, the paper's number, their difference and the verdict.

    Args:
        values: seed to number.
        printed: the paper's; None when it has none.
        comparable: whether the two mean the same thing.

    Returns:
        `published`, `mean`, `sd` (of a sample; None for one seed), `values`, `difference` (ours minus theirs; None
        where they do not compare), `band` and `verdict` (empty where there is nothing to judge).
    """
    ours = summarise(values)
    difference = band = None
    verdict = ""
    if ours["mean"] is not None and printed is not None:
        verdict = NOT_COMPARABLE
        if comparable:
            difference, band = round(ours["mean"] - printed, 6), band_of(ours["sd"])
            verdict = judge(difference, band)
    return {"published": printed, **ours, "difference": difference, "band": band, "verdict": verdict}


def band_of(sd: float | None) -> float:
    """Half the width of the band, in points."""
    return max(LEAST_BAND, 2 * (sd or 0.0))


def judge(difference: float, band: float) -> str:
    """`WITHIN`, `ABOVE` or `BELOW`."""
    if abs(difference) <= band + 1e-9:
        return WITHIN
    return ABOVE if difference > 0 else BELOW


def order(
    better: Mapping[str, float], worse: Mapping[str, float], printed: float | None, sign: int,
    classes: tuple[float, float] | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Whether ours has the paper's order: `better` minus `worse` over the seeds that both have.

    Args:
        better: seed to number, of one side.
        worse: the same of the other.
        printed: the paper's difference; None where it prints none.
        sign: of the paper's difference; 0 = the paper has no order.
        classes: interval of our difference over classes.

    Returns:
        `paper`, `sign`, `mean`, `sd`, `values`, `seeds` and `classes` (intervals, or None) and `verdict` (empty when no
        seed has both, or the paper has no order).
    """
    differences = {seed: round(better[seed] - worse[seed], 6) for seed in better if seed in worse}
    ours = summarise(differences)
    seeds = interval(list(differences.values()))
    verdict = order_verdict(ours["mean"], seeds, classes, sign) if ours["mean"] is not None and sign else ""
    intervals = {"seeds": seeds and list(seeds), "classes": classes and list(classes)}
    return {"paper": printed, "sign": sign, **ours, **intervals, "verdict": verdict}


def order_verdict(
    mean: float, seeds: tuple[float, float] | None, classes: tuple[float, float] | None, sign: int
) -> str:
    """The verdict's word for a mean difference and its intervals; an interval that is not known decides nothing."""
    if mean == 0:
        return EQUAL
    same = (mean > 0) == (sign > 0)
    if seeds is None:
        return SAME_SIGN if same else OTHER_SIGN
    clear = all(known is None or known[0] > 0 or known[1] < 0 for known in (seeds, classes))
    if same:
        return HOLDS if clear else LEANS
    return REVERSED if clear else LEANS_AGAINST


def interval(values: Sequence[float]) -> tuple[float, float] | None:
    """Student's 95 % interval of the mean; None for fewer than two values."""
    if len(values) < 2:
        return None
    half = student(len(values) - 1) * statistics.stdev(values) / len(values) ** 0.5
    mean = statistics.fmean(values)
    return round(mean - half, 6), round(mean + half, 6)


def student(freedom: int) -> float:
    """Two-sided 95 % quantile of Student's t, to 0.001."""
    if freedom <= len(_STUDENT):
        return _STUDENT[freedom - 1]
    # Cornish-Fisher expansion around the normal quantile (Abramowitz and Stegun, 26.7.5).
    z = statistics.NormalDist().inv_cdf(0.975)
    first = (z**3 + z) / 4
    second = (5 * z**5 + 16 * z**3 + 3 * z) / 96
    third = (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384
    return z + first / freedom + second / freedom**2 + third / freedom**3


def count_pairs(rows: Sequence[tuple[float, float]]) -> tuple[int, int]:
    """Of all pairs of rows that the paper tells apart, how many stand in its order here.

    Args:
        rows: for each row the paper's number and ours.

    Returns:
        Pairs in the paper's order, and all pairs.
    """
    agreeing = total = 0
    for i, (theirs, ours) in enumerate(rows):
        for other_theirs, other_ours in rows[i + 1 :]:
            if theirs != other_theirs:
                total += 1
                agreeing += (theirs - other_theirs) * (ours - other_ours) > 0
    return agreeing, total
