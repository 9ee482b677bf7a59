"""Whether two folders hold the same, byte for byte."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

# What the clock decides; everything else must be equal.
LEFT_OUT = ("seconds",)
# Drawn from benchmark.json, which is compared, with its seconds; only looked for.
_DRAWN = ("benchmark.csv", "benchmark.md", "benchmark.html")


def contents(folder: Path) -> dict[str, bytes]:
    """The files of a folder, those of killed processes too; times taken out of records."""
    return {str(p.relative_to(folder)): _content(p) for p in sorted(folder.rglob("*")) if p.is_file()}


def differences(expected: dict[str, bytes], found: dict[str, bytes]) -> list[str]:
    """What differs, one line each."""
    lines = [f"{name} is missing" for name in expected if name not in found]
    lines += [f"{name} is one too many" for name in found if name not in expected]
    return lines + [f"{name} differs" for name in expected if name in found and expected[name] != found[name]]


def _content(path: Path) -> bytes:
    data = b"" if path.name in _DRAWN else path.read_bytes()
    if path.suffix == ".json":
        return json.dumps(_timeless(json.loads(data)), ensure_ascii=False).encode()
    if path.suffix == ".jsonl":
        return b"\n".join(json.dumps(_timeless(json.loads(line))).encode() for line in data.splitlines())
    return data


def _timeless(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _timeless(entry) for key, entry in value.items() if key not in LEFT_OUT}
    return [_timeless(entry) for entry in value] if isinstance(value, list) else value
