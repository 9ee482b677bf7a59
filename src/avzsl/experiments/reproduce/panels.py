"""A table of results as a record: one panel for each data folder, a row for each setting."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from avzsl.experiments.reproduce.context import Context, Place, Training
from avzsl.experiments.reproduce.items import Found
from avzsl.experiments.reproduce.numbers import BAND_RULE, ORDER_RULE, count_pairs, order, score
from avzsl.experiments.reproduce.published import Published, benchmark_title
from avzsl.experiments.reproduce.resampled import Resampled

SCORES = ("seen", "unseen", "hm", "zsl")
# Differences are judged by these two; S and U trade against each other.
JUDGED = ("hm", "zsl")


@dataclass(frozen=True)
class Line:
    """One row of a panel.

    Attributes:
        key: that of the published row, where there is one.
        label: in words.
        trainings: one per seed.
    """

    key: str
    label: str
    trainings: tuple[Training, ...]


@dataclass(frozen=True)
class Claim:
    """That one row is better than another.

    Attributes:
        better: key of the row that the paper finds better.
        worse: key of the other.
        where: what in the paper says so; empty = its table.
        scores: for which scores.
    """

    better: str
    worse: str
    where: str = ""
    scores: tuple[str, ...] = JUDGED

    @property
    def keys(self) -> tuple[str, str]:
        """The better row's, the worse row's."""
        return self.better, self.worse


def panel(
    item: Published, place: Place, lines: Sequence[Line], found: Found, *, columns: Sequence[str] = SCORES,
    claims: Sequence[Claim] | None = None, reference: str | None = None, title: str = "", pairs: bool = False,
) -> dict[str, Any]:  # fmt: skip
    """Rows with published numbers, ours, differences and verdicts, and whether the paper's order holds.

    Args:
        item: what the paper prints.
        place: the data.
        lines: rows.
        found: what became of the trainings.
        columns: scores shown.
        claims: what to compare; None = the reference row with every other.
        reference: key of that row; None = the item's.
        title: of the panel, where an item has several on the same data.
        pairs: whether to count how many pairs of rows stand in the paper's order.
    """
    full = reference or item.full.get(place.paper)
    comparable = not place.reasons
    values = {line.key: _values(line, found) for line in lines}
    rows = [
        {
            "key": line.key, "label": line.label, "method": line.trainings[0].method,
            "settings": list(line.trainings[0].assignments), "reference": line.key == full,
            "preset": found.context.choice(line.trainings[0]).preset,
            "reason": _reason(line, found), "done": len(values[line.key]["hm"]),
            "scores": {
                name: score(values[line.key][name], item.number_of(line.key, place.paper, name), comparable)
                for name in columns
            },
        }
        for line in lines
    ]  # fmt: skip
    if claims is None:
        claims = [Claim(full, line.key) for line in lines if full is not None and line.key != full]
    trainings = {line.key: line.trainings for line in lines}
    resampled = Resampled(found)
    orders = [
        entry
        for claim in claims
        if claim.better in trainings
        and claim.worse in trainings  # not thinned out of a quick grid
        and resampled.same_clips(*(trainings[key] for key in claim.keys))
        for entry in _orders(item, place, claim, values, resampled.difference(*(trainings[key] for key in claim.keys)))
    ]
    return {
        "label": place.label, "title": title, "paper": benchmark_title(place.paper),
        "comparable": comparable, "reasons": list(place.reasons), "columns": list(columns), "rows": rows,
        "facts": facts(place, found), "chance": place.about["zsl_chance"], "orders": orders,
        "pairs": {name: _pairs(rows, name) for name in JUDGED if name in columns} if pairs else {},
        "notes": _notes(lines, found),
    }  # fmt: skip


def table_record(item: Published, context: Context, panels: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The record of an item whose content is panels of results."""
    return {"kind": "results", "panels": list(panels), "rules": [BAND_RULE, ORDER_RULE]} | heading(item, context)


def heading(item: Published, context: Context) -> dict[str, Any]:
    """What every item's record begins with."""
    request = context.request
    return {
        "item": item.name, "number": item.number, "caption": item.caption, "quick": request.quick,
        "seeds": list(request.seeds), "preset": request.preset, "settings": list(request.assignments),
        "mode": request.mode, "device": context.device, "contradictions": list(item.contradictions),
    }  # fmt: skip


def _values(line: Line, found: Found) -> dict[str, dict[str, float]]:
    """Score to seed to percent."""
    results = {str(t.seed): found.result(t) for t in line.trainings}
    return {name: {seed: r[name] for seed, r in results.items() if r is not None} for name in SCORES}


def _reason(line: Line, found: Found) -> str:
    return next((reason for reason in map(found.reason, line.trainings) if reason), "")


def facts(place: Place, found: Found) -> list[list[str]]:
    """What the numbers depend on, as label and value."""
    about, request = place.about, found.context.request
    made = " (simulated)" if about["simulated"] else ""
    columns = about["columns"]
    return [
        ["data", f"{about['benchmark']}, {about['family']} features{made}"],
        ["columns", f"{columns['audio'] or 0} audio, {columns['visual'] or 0} visual, {columns['text']} text"],
        ["fingerprint", "; ".join(f"{kind} {value[:12]}" for kind, value in about["fingerprints"].items())],
        ["extractor", f"{about['extractor']}; text {about['text_encoder']}"],
        ["mode", str(about["mode"])],
        [
            "test",
            f"{about['test_clips']} clips of {about['seen_classes']} seen, {about['unseen_classes']} unseen classes",
        ],
        ["ZSL by guessing", f"{about['zsl_chance']:.2f} %"],
        ["seeds", ", ".join(map(str, request.seeds))],
        ["device", found.context.device],
    ]


def _orders(
    item: Published, place: Place, claim: Claim, values: Mapping[str, Mapping[str, Mapping[str, float]]],
    classes: Mapping[str, tuple[float, float]],
) -> Iterator[dict[str, Any]]:  # fmt: skip
    """A claim in each of its scores; nothing where the paper says nothing of it."""
    for name in claim.scores:
        printed = [item.number_of(key, place.paper, name) for key in claim.keys]
        difference = None if printed[0] is None or printed[1] is None else round(printed[0] - printed[1], 6)
        if difference is None and not claim.where:
            continue
        # A table's sign is its numbers'; a figure's is what the text says.
        sign = 1 if difference is None else (difference > 0) - (difference < 0)
        found = order(values[claim.better][name], values[claim.worse][name], difference, sign, classes.get(name))
        yield {"better": claim.better, "worse": claim.worse, "score": name, "where": claim.where, **found}


def _pairs(rows: Sequence[Mapping[str, Any]], name: str) -> list[int]:
    known = [(row["scores"][name]["published"], row["scores"][name]["mean"]) for row in rows]
    return list(count_pairs([pair for pair in known if None not in pair]))


def _notes(lines: Sequence[Line], found: Found) -> list[str]:
    """What was said on the way, and who was judged on other clips."""
    said: dict[str, None] = {}
    judged: dict[str, set[str]] = {}
    for line in lines:
        for training in line.trainings:
            outcome = found.of(training)
            if outcome is None:
                continue
            said |= {f"{line.label}: {text}": None for text in outcome.warnings}
            if outcome.result is not None:
                judged.setdefault(outcome.result["evaluated"], set()).add(line.label)
    if len(judged) > 1:
        most = max(judged.values(), key=len)
        others = sorted(set().union(*judged.values()) - most)
        said[f"judged on other clips than the rest, so their numbers do not compare: {', '.join(others)}"] = None
    return list(said)
