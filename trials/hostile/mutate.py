"""Ways to damage a file: bytes of any file, and values of a JSON document."""

from __future__ import annotations

import copy
import struct
from collections.abc import Callable
from typing import Any

import numpy as np

Random = np.random.Generator
# Texts that programs stumble over.
ODD_TEXTS = (
    "", " ", "\x00", "nan", "-1", "../../etc/passwd", "/dev/zero", "a" * 20_000, "\u202egpj", "\ud800", "\n\n",
    "\x1b[2J",
    "é" * 300, "名前", "CON", "true", "{}", "%s%n", "${HOME}", "'; --", "1e999", "\ufeff", "audio", "weights.x",
)  # fmt: skip
ODD_NUMBERS = (
    0, -1, 1, 2, 3, 2**31, -(2**31), 2**53, 2**63, 2**64, 10**30, 10**400, 0.5, -0.0, 1e308, 1e-320, float("nan"),
    float("inf"), float("-inf"), 4_000_000_000, 99_999,
)  # fmt: skip
_WORDS = (0, 1, 2**8 - 1, 2**16 - 1, 2**31 - 1, 2**31, 2**32 - 1, 2**48, 2**63 - 1, 2**64 - 1)


def _place(content: bytes, random: Random) -> int:
    """Headers stand at the beginning, so half of all places lie there."""
    size = len(content)
    return int(random.integers(0, max(1, min(size, 2048) if random.random() < 0.5 else size)))


def flip_bits(content: bytes, random: Random) -> bytes:
    """One to eight bits."""
    changed = bytearray(content)
    for _ in range(int(random.integers(1, 9))):
        if changed:
            changed[_place(content, random)] ^= 1 << int(random.integers(0, 8))
    return bytes(changed)


def set_byte(content: bytes, random: Random) -> bytes:
    """One byte becomes another."""
    changed = bytearray(content)
    if changed:
        changed[_place(content, random)] = int(random.integers(0, 256))
    return bytes(changed)


def overwrite_run(content: bytes, random: Random) -> bytes:
    """A run of zeros, ones or noise."""
    place, length = _place(content, random), int(random.integers(1, 257))
    filling = (bytes(length), b"\xff" * length, random.bytes(length))[int(random.integers(0, 3))]
    return (content[:place] + filling + content[place + length :])[: len(content)]


def declare_size(content: bytes, random: Random) -> bytes:
    """A field of 2, 4 or 8 bytes becomes an extreme number: often a size or a place in the file."""
    form = ("<H", "<I", "<Q", ">I", ">Q")[int(random.integers(0, 5))]
    number = struct.pack(form, _WORDS[int(random.integers(0, len(_WORDS)))] % 2 ** (8 * struct.calcsize(form)))
    place = _place(content, random)
    place -= place % len(number) if random.random() < 0.7 else 0
    return (content[:place] + number + content[place + len(number) :])[: max(len(content), 1)]


def truncate(content: bytes, random: Random) -> bytes:
    """Anything may be missing at the end."""
    return content[: int(random.integers(0, max(1, len(content))))]


def extend(content: bytes, random: Random) -> bytes:
    """Noise, or the file itself again, at the end."""
    return content + (random.bytes(int(random.integers(1, 4096))) if random.random() < 0.5 else content[:65536])


def remove_run(content: bytes, random: Random) -> bytes:
    """Some bytes in the middle go; what follows moves."""
    place = _place(content, random)
    return content[:place] + content[place + int(random.integers(1, 300)) :]


def insert_run(content: bytes, random: Random) -> bytes:
    """Some bytes come in between."""
    place = _place(content, random)
    return content[:place] + random.bytes(int(random.integers(1, 300))) + content[place:]


def swap_blocks(content: bytes, random: Random) -> bytes:
    """Two blocks change places."""
    size = int(random.integers(1, 513))
    a, b = sorted((_place(content, random), _place(content, random)))
    if b < a + size:
        return flip_bits(content, random)
    return content[:a] + content[b : b + size] + content[a + size : b] + content[a : a + size] + content[b + size :]


def repeat_block(content: bytes, random: Random) -> bytes:
    """A block is copied over another one."""
    size, a, b = int(random.integers(1, 513)), _place(content, random), _place(content, random)
    return (content[:b] + content[a : a + size] + content[b + size :])[: len(content)]


def zero_header(content: bytes, random: Random) -> bytes:
    """The first bytes are zero."""
    length = int(random.integers(1, 129))
    return bytes(min(length, len(content))) + content[length:]


def empty(content: bytes, random: Random) -> bytes:
    """Nothing is left."""
    return b""


BYTES: tuple[Callable[[bytes, Random], bytes], ...] = (
    flip_bits, flip_bits, set_byte, set_byte, overwrite_run, declare_size, declare_size, truncate, extend, remove_run,
    insert_run, swap_blocks, repeat_block, zero_header,
)  # fmt: skip


def mutate_bytes(content: bytes, random: Random, other: bytes | None = None) -> tuple[str, bytes]:
    """A damaged copy and the name of what was done; `other` is a file of the same kind to splice with."""
    if random.random() < 0.005:
        return "empty", b""
    if other is not None and random.random() < 0.05:
        return "splice", content[: _place(content, random)] + other[_place(other, random) :]
    change = BYTES[int(random.integers(0, len(BYTES)))]
    damaged = change(content, random)
    while random.random() < 0.25:  # damage rarely comes alone
        damaged = BYTES[int(random.integers(0, len(BYTES)))](damaged, random)
    return change.__name__, damaged


def odd_value(random: Random) -> Any:
    """A value of any type."""
    kind = int(random.integers(0, 7))
    if kind == 0:
        return ODD_TEXTS[int(random.integers(0, len(ODD_TEXTS)))]
    if kind in (1, 2):
        return ODD_NUMBERS[int(random.integers(0, len(ODD_NUMBERS)))]
    if kind == 3:
        return bool(random.integers(0, 2))
    if kind == 4:
        nested: Any = []
        for _ in range(int(random.choice([1, 3, 200]))):
            nested = [nested] if random.random() < 0.5 else {"a": nested}
        return nested
    return (None, [], {})[int(random.integers(0, 3))]


def mutate_values(document: Any, random: Random) -> tuple[str, Any]:
    """A copy of a JSON document with one to three nodes changed, removed, added or given another name."""
    changed, name = copy.deepcopy(document), "value"
    for _ in range(int(random.choice([1, 1, 1, 2, 3]))):
        places = list(_places(changed))
        if not places:
            return "value", odd_value(random)
        holder, key = places[int(random.integers(0, len(places)))]
        name = ("value", "value", "value", "remove", "add", "rename", "move")[int(random.integers(0, 7))]
        if name == "remove":
            del holder[key]
        elif name == "add" and isinstance(holder, dict):
            holder[ODD_TEXTS[int(random.integers(0, len(ODD_TEXTS)))]] = odd_value(random)
        elif name == "add":
            holder += [odd_value(random)] * int(random.choice([1, 2, 1000]))
        elif name == "rename" and isinstance(holder, dict):
            holder[f"{key}x"] = holder.pop(key)
        elif name == "move":
            other, place = places[int(random.integers(0, len(places)))]
            holder[key] = copy.deepcopy(other[place])
        else:
            holder[key] = odd_value(random)
    return name, changed


def _places(value: Any) -> Any:
    """Every (container, key) of a document."""
    if isinstance(value, (dict, list)):
        for key in list(value) if isinstance(value, dict) else range(len(value)):
            yield value, key
            yield from _places(value[key])
