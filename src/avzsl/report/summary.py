"""The head of the page: what ran, on what, and the four scores."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from avzsl.report.records import RunRecords

MEANINGS = (
    ("hm", "HM", "harmonic mean", "Harmonic mean of S and U: high only when both are. Runs are compared by it."),
    ("seen", "S", "seen", "Clips of classes known from training, any class being possible: share recognised."),
    ("unseen", "U", "unseen", "Clips of classes never trained on, any class being possible: share recognised."),
    ("zsl", "ZSL", "zero-shot", "Clips of classes never trained on when only such classes are possible."),
)  # fmt: skip
_FACTS = (
    ("method", "method"), ("preset", "preset"), ("benchmark", "data"), ("family", "features"), ("mode", "protocol"),
    ("seed", "seed"), ("epoch", "selected epoch"), ("bias", "bias"), ("extractor", "extractor"),
    ("text_encoder", "text encoder"), ("text_assignment", "text vectors"), ("seconds", "training time"),
    ("device", "device"), ("fingerprint", "data fingerprint"), ("evaluated", "test clips"),
    ("digest", "digest of the result"),
)  # fmt: skip

SHOWN_DIGITS = 16


def summary(records: RunRecords) -> dict[str, Any]:
    """Title, notices, score tiles, facts and the folded tables."""
    result = records.result
    title = " on ".join(str(result[k]) for k in ("method", "benchmark") if result.get(k))
    return {
        "title": title or records.run.resolve().name,
        "simulated": simulated(records),
        "drawn": _maker(result) == "simulated",
        "missing": "" if result else f"No scores yet: {records.problems.get('result', 'result.json is empty')}.",
        "tiles": [
            {"key": key, "sign": sign, "name": name, "value": result.get(key), "meaning": meaning}
            for key, sign, name, meaning in MEANINGS
        ],
        "chance": result.get("zsl_chance"),
        "facts": [(label, plain(key, result[key])) for key, label in _FACTS if result.get(key) not in (None, "")],
        "counts": list(leaves(result.get("counts") or {}, "")),
        "quirks": list(leaves(result.get("quirks") or {}, "")),
        "versions": [*leaves(result.get("versions") or {}, ""), *_full(result)],
        "settings": list(leaves(records.settings, "")),
        "baselines": baselines(records),
        "published_note": str(result.get("published_note") or ""),
    }


def _maker(result: Mapping[str, Any]) -> Any:
    """Name of the extractor; `avzsl simulate` draws features without any video."""
    extractor = result.get("extractor")
    return extractor.get("name") if isinstance(extractor, Mapping) else None


def _full(result: Mapping[str, Any]) -> list[tuple[str, str]]:
    value = result.get("fingerprint")
    return [("data fingerprint", str(value))] if value else []


def simulated(records: RunRecords) -> str:
    """`"yes"`, `"no"` or `"unknown"`: whether the clips are generated ones."""
    said = [source["simulated"] for source in (records.extra, records.result) if source.get("simulated") is not None]
    return "unknown" if not said else "yes" if any(said) else "no"


def baselines(records: RunRecords) -> list[dict[str, Any]]:
    """This run, simple methods on the same data and published numbers; empty when there is nothing to compare."""
    stored = records.extra.get("baselines")
    known = [row for row in stored if isinstance(row, Mapping) and row.get("name")] if isinstance(stored, list) else []
    published = records.result.get("published")
    if isinstance(published, Mapping) and published:
        known.append({**published, "name": "published"})
    if not known:
        return []
    keys = ("seen", "unseen", "hm", "zsl")
    own = {"name": f"{records.result.get('method', 'this run')} (this run)", "own": True}
    return [own | {k: records.result.get(k) for k in keys}] + [
        {"name": str(row["name"]), "own": False} | {k: row.get(k) for k in keys} for row in known
    ]


def plain(key: str, value: Any) -> str:
    """A value of result.json for reading."""
    if isinstance(value, Mapping):
        name = value.get("name")
        return str(name) if name else ", ".join(f"{k} {v}" for k, v in value.items())
    if key == "seconds" and isinstance(value, int | float) and math.isfinite(value):
        minutes, seconds = divmod(round(value), 60)
        return f"{minutes} min {seconds} s" if minutes else f"{value:.1f} s"
    if key == "fingerprint" and len(str(value)) > SHOWN_DIGITS:
        return f"{str(value)[:SHOWN_DIGITS]}…"
    if isinstance(value, float):
        return f"{value:.6g}"
    return str(value)


def leaves(value: Any, path: str) -> Any:
    """Yield `(dotted name, text)` for everything inside nested settings."""
    if isinstance(value, Mapping):
        for key in value:
            yield from leaves(value[key], f"{path}.{key}" if path else str(key))
    elif isinstance(value, list) and any(isinstance(v, Mapping | list) for v in value):
        for i, item in enumerate(value):
            yield from leaves(item, f"{path}[{i}]")
    elif isinstance(value, list):
        yield path, ", ".join(str(v) for v in value) or "(none)"
    else:
        yield path, "(none)" if value is None else str(value)
