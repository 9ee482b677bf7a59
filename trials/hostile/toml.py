"""Plain values as TOML text, odd ones included; the standard library only reads it."""

from __future__ import annotations

import json
from typing import Any


def as_toml(values: Any) -> str:
    """Tables of tables as sections, everything else inline."""
    try:
        return _text(values)
    except RecursionError:  # nested deeper than this can write: deep enough by hand
        return f"value = {'[' * 3000}1{']' * 3000}\n"


def _text(values: Any) -> str:
    if not isinstance(values, dict):
        return f"value = {_inline(values)}\n"
    lines = [f"{_key(key)} = {_inline(value)}" for key, value in values.items() if not isinstance(value, dict)]
    for name, section in values.items():
        if isinstance(section, dict):
            lines += _section(_key(name), section)
    return "\n".join(lines) + "\n"


def _section(path: str, values: dict[str, Any]) -> list[str]:
    lines = [f"[{path}]"]
    lines += [f"{_key(key)} = {_inline(value)}" for key, value in values.items() if not _nested(value)]
    for key, value in values.items():
        if _nested(value):
            lines += _section(f"{path}.{_key(key)}", value)
    return lines


def _nested(value: Any) -> bool:
    return isinstance(value, dict) and 0 < len(value) < 20


def _key(key: Any) -> str:
    text = str(key)
    return text if text and text.replace("_", "").replace("-", "").isascii() and text.isalnum() else json.dumps(text)


def _inline(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return repr(value)
    if value is None:
        return '"none"'
    if isinstance(value, list):
        return f"[{', '.join(_inline(entry) for entry in value)}]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_key(k)} = {_inline(v)}" for k, v in value.items()) + "}"
    return json.dumps(value, ensure_ascii=False) if isinstance(value, str) else str(value)
