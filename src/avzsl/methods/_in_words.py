"""What a module is made of and what it gives, in a few words."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from typing import Any

from torch import Tensor, nn


def describe(module: nn.Module) -> tuple[str, ...]:
    """What a part is made of, layer by layer, in a few words each; repeated layers are counted."""
    said: list[str] = []
    for path, layer in module.named_modules():
        if any(True for _ in layer.children()) and not _own(layer):
            continue
        said += [text for text in (_layer(layer) if path or not list(layer.children()) else _own(layer)) if text]
    lines: list[str] = []
    for text in said:
        if lines and lines[-1].split(" ×")[0] == text:
            times = int(lines[-1].split(" ×")[1]) if " ×" in lines[-1] else 1
            lines[-1] = f"{text} ×{times + 1}"
        else:
            lines.append(text)
    return tuple(lines)


def _layer(layer: nn.Module) -> list[str]:
    match layer:
        case nn.Linear():
            return [f"Linear {layer.in_features}→{layer.out_features}"]
        case nn.Conv1d():
            return [
                f"Conv {layer.in_channels}→{layer.out_channels}, width {layer.kernel_size[0]}, step {layer.stride[0]}"
            ]
        case nn.BatchNorm1d() | nn.BatchNorm2d():
            return ["BatchNorm"]
        case nn.LayerNorm():
            return ["LayerNorm"]
        case nn.Dropout():
            return [f"Dropout {layer.p:g}"]
        case nn.Identity():
            return []
    own = _own(layer)
    return own or [type(layer).__name__]


def _own(layer: nn.Module) -> list[str]:
    """Parameters that a module holds itself, by name and size."""
    if isinstance(layer, nn.Linear | nn.Conv1d | nn.BatchNorm1d | nn.BatchNorm2d | nn.LayerNorm):
        return []
    return [
        f"{n.replace('_', ' ')} {'×'.join(map(str, p.shape)) or '1'}"
        for n, p in layer._parameters.items()
        if p is not None
    ]


def shape_of(result: Any) -> str:
    """Sizes of what a part gives for one clip; a record's first two entries have names."""
    if isinstance(result, Tensor):
        return "×".join(map(str, result.shape[1:]))
    if isinstance(result, tuple) and hasattr(result, "_fields"):
        named = list(zip(result._fields, result, strict=True))[:2]
        return ", ".join(f"{name} {shape_of(value)}" for name, value in named if isinstance(value, Tensor))
    first = next(tensors_in(result), None)
    return "" if first is None else shape_of(first)


def tensors_in(value: Any) -> Iterator[Tensor]:
    """All tensors in nested lists, dictionaries and records."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from tensors_in(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from tensors_in(item)
    elif is_dataclass(value) and not isinstance(value, type):
        for entry in fields(value):
            yield from tensors_in(getattr(value, entry.name))
