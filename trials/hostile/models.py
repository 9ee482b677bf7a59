"""Damaged model folders of every method, opened as `predict` and `evaluate` open them."""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

import avzsl.methods
from avzsl.config import plain
from avzsl.methods._base import METHODS, Method
from avzsl.methods._checkpoint import CARD, TENSORS, ModelCard, load_model, save_model
from avzsl.methods._contract import Case
from avzsl.types import ExtractorIdentity, TextVectors
from trials.hostile import attempt as attempts
from trials.hostile.attempt import Attempt, WrongResultError
from trials.hostile.mutate import Random, mutate_bytes, mutate_values

assert avzsl.methods  # imported for its registrations
# Bytes of a model; larger ones would make this a trial of the disk.
_LARGEST = 400_000


class Subject:
    """A folder per method with a small model; one of its two files is damaged at a time."""

    limit = 60.0

    def __init__(self, base: Path) -> None:
        torch.set_num_threads(1)
        self.base, self.folders = base, list[Path]()
        for name in METHODS.names():
            folder = base / name
            folder.mkdir()
            _save(folder, name)
            if (folder / TENSORS).stat().st_size <= _LARGEST:
                self.folders.append(folder)
        self.good = {path: path.read_bytes() for folder in self.folders for path in sorted(folder.iterdir())}
        self.sound = {folder: _digest(*load_model(folder)) for folder in self.folders}

    def attempts(self, numbers: range, seed: int) -> Iterator[Attempt]:
        """One damaged file each."""
        for number in numbers:
            random = np.random.default_rng([seed, 2, number])
            folder = self.folders[int(random.integers(0, len(self.folders)))]
            other = self.folders[int(random.integers(0, len(self.folders)))]
            what, damaged = self._damage(folder, other, number, random)
            found = attempts.run(
                number, f"{what} of {folder.name}", lambda folder=folder: self._open(folder), folder  # type: ignore[misc]
            )  # fmt: skip
            for name in damaged:
                attempts.keep_fault(self.base, folder / name, found)
                attempts.put(folder / name, self.good[folder / name])
            yield found

    def _open(self, folder: Path) -> bool:
        method, card = load_model(folder)
        if len(card.classes.names) != len(card.seen) or method.training:
            raise WrongResultError("classes and flags differ in number")
        return _digest(method, card) == self.sound[folder]

    def _damage(self, folder: Path, other: Path, number: int, random: Random) -> tuple[str, tuple[str, ...]]:
        """Damage the card, the tensors, or the tensors with a card that agrees with them."""
        card, tensors = folder / CARD, folder / TENSORS
        choice = random.random()
        attempts.tell(self.base, card if choice < 0.55 else tensors)
        if choice < 0.002:
            name = (CARD, TENSORS)[int(random.integers(0, 2))]
            return f"{attempts.put_oddity(folder / name, number)} in the place of {name}", (name,)
        if choice < 0.15:
            what, content = mutate_bytes(self.good[card], random, self.good[other / CARD])
            attempts.put(card, content)
            return f"{what} in the card", (CARD,)
        if choice < 0.55:
            what, values = mutate_values(json.loads(self.good[card]), random)
            attempts.put(card, _as_json(values, random))
            return f"{what} in the card", (CARD,)
        if choice < 0.75:
            what, content = mutate_bytes(self.good[tensors], random, self.good[other / TENSORS])
        elif choice < 0.8:
            what, content = "model of another method", self.good[other / TENSORS]
        else:
            what, content = _change_header(self.good[tensors], random)
        attempts.put(tensors, content)
        if random.random() < 0.9:
            values = json.loads(self.good[card]) | {"sha256": hashlib.sha256(content).hexdigest()}
            attempts.put(card, json.dumps(values).encode())
            return f"{what} in the tensors, with their hash", (CARD, TENSORS)
        return f"{what} in the tensors", (TENSORS,)


def _save(folder: Path, name: str) -> None:
    case = Case(METHODS.get(name), features="averaged" if "averaged" in METHODS.get(name).inputs else "temporal")
    method = case.make()
    vectors = case.classes()
    names = tuple(f"class {n} é" for n in range(len(vectors)))
    card = ModelCard(
        method=name, config=plain(method.config), dimensions=case.dimensions,
        classes=TextVectors(names, vectors, "hash-ngram"), seen=tuple(n % 2 == 0 for n in range(len(names))), bias=0.5,
        extractor=ExtractorIdentity("hostile", settings={"rate": 2}), benchmark="Tiny", fingerprint="0" * 64,
        quirks={"text_by_rank": False}, versions={"avzsl": "0"},
    )  # fmt: skip
    save_model(folder, method, card)


def _as_json(values: Any, random: Random) -> bytes:
    text = json.dumps(values)
    if random.random() < 0.1 and text.startswith("{"):
        text = '{"format": 1, "method": "stft", ' + text[1:]  # keys twice
    return text.encode("utf-8", "surrogatepass")


def _change_header(content: bytes, random: Random) -> tuple[str, bytes]:
    """The header of a safetensors file with other shapes, types, places or names."""
    (length,) = struct.unpack_from("<Q", content)
    what, header = mutate_values(json.loads(content[8 : 8 + length]), random)
    if random.random() < 0.3 and isinstance(header, dict) and header:
        entry = list(header.values())[int(random.integers(0, len(header)))]
        if isinstance(entry, dict) and "dtype" in entry:
            kinds = ("F64", "F16", "BF16", "I64", "U8", "BOOL", "F8_E4M3", "I8", "C64")
            entry["dtype"] = kinds[int(random.integers(0, len(kinds)))]
    text = json.dumps(header).encode("utf-8", "surrogatepass")
    return f"{what} in the header", struct.pack("<Q", len(text)) + text + content[8 + length :]


def _digest(method: Method, card: ModelCard) -> str:
    """Of everything that makes a model answer as it does."""
    digest = hashlib.sha256(json.dumps(card.as_dict(), sort_keys=True, default=str).encode())
    for name, value in sorted([*method.state_dict().items(), ("vectors", card.classes.vectors)]):
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
        digest.update(value.contiguous().numpy().tobytes())
    return digest.hexdigest()
