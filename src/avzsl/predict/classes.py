"""Which classes may be answered: the model's own, or any names the user writes."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from avzsl.errors import DataError, ModelError, SettingError, nearest_name
from avzsl.features.store import FILE_ENCODER
from avzsl.features.text import FileTextEncoder, TextEncoder, create_text_encoder, phrase
from avzsl.files import read_text
from avzsl.methods._checkpoint import ModelCard


@dataclass(frozen=True)
class Candidates:
    """Classes to choose from.

    Attributes:
        names: C names as the user wrote them.
        vectors: [C, d_w].
        seen: [C] bool, True when the model was trained on clips of the class.
    """

    names: tuple[str, ...]
    vectors: Tensor
    seen: Tensor


def parse_class_list(text: str) -> list[str]:
    """Class names from one line of text, or from a file named after `@`.

    In a line, names are separated by commas; a name with a comma stands in double quotes. In a file, every line is a
    name, commas and all.

    Raises:
        DataError: the file cannot be read.
        SettingError: no names, an empty name, or an open quote.
    """
    if text.startswith("@"):
        path = Path(text[1:])
        try:
            names = [line.strip() for line in read_text(path, "utf-8-sig").splitlines() if line.strip()]
        except OSError as error:
            raise DataError(f"cannot read {path}: {error.strerror or error}; check the path after @") from error
        except UnicodeDecodeError as error:
            raise DataError(
                f"{path} is not UTF-8 text ({error.reason}); save it as UTF-8, one name per line"
            ) from error
        if not names:
            raise SettingError(f"{path} holds no class names; write one per line")
        return names
    try:
        rows = list(csv.reader([text], skipinitialspace=True, strict=True))
    except csv.Error as error:
        raise SettingError(f"the class list {text!r} has an open or misplaced quote ({error}); close it") from error
    names = [name.strip() for name in rows[0]] if rows else []
    if not any(names):
        raise SettingError("the class list is empty; write names separated by commas, or @file with one per line")
    if not all(names):
        raise SettingError(f"the class list {text!r} has an empty name; remove the extra comma")
    return names


def own_candidates(card: ModelCard, *, unseen_only: bool = False) -> Candidates:
    """The classes of the model's benchmark, or those it was not trained on.

    Raises:
        SettingError: none is left.
    """
    seen = torch.tensor(card.seen, dtype=torch.bool)
    return _only_unseen(Candidates(card.classes.names, card.classes.vectors, seen), unseen_only)


def choose_candidates(
    card: ModelCard, names: Sequence[str], *, unseen_only: bool = False, vectors: Path | None = None
) -> Candidates:
    """The classes the user names; those the model knows keep its vectors, the others are encoded in the same way.

    Args:
        card: the model's card.
        names: any names; case, spaces and underscores do not matter for recognising a known one.
        unseen_only: leave out those it was trained on.
        vectors: file of word vectors, for a model that was trained on such a file.

    Raises:
        SettingError: no names, an empty one, one twice, or none left.
        ModelError: a name is new and the model's text encoder cannot encode it here.
    """
    _check_names(names)
    known = {_fold(name): place for place, name in enumerate(card.classes.names)}
    fresh = [name for name in names if _fold(name) not in known]
    encoded = {}
    if fresh:
        encoder = _encoder(card, fresh, vectors)
        found = encoder.encode([phrase(name) for name in fresh]).vectors
        if found.shape[1] != card.dimensions.text:
            raise ModelError(
                f"text encoder '{encoder.name}' gives {found.shape[1]} numbers per name, the model was trained on "
                f"{card.dimensions.text}; use the encoder it was trained with ('{card.classes.encoder}')"
            )
        encoded = dict(zip(fresh, found, strict=True))
    rows = [encoded[n] if n in encoded else card.classes.vectors[known[_fold(n)]] for n in names]
    seen = torch.tensor([n not in encoded and card.seen[known[_fold(n)]] for n in names], dtype=torch.bool)
    return _only_unseen(Candidates(tuple(names), torch.stack(rows), seen), unseen_only)


def _check_names(names: Sequence[str]) -> None:
    if isinstance(names, str):
        raise SettingError(f"classes is the text {names!r}; give a list of names")
    if not names or not all(_fold(name) for name in names):
        raise SettingError("a class name is empty; give at least one name, and no empty ones")
    taken: dict[str, str] = {}
    for name in names:
        other = taken.get(_fold(name))
        if other is not None:
            written = (
                f"class '{name}' is given twice" if name == other else f"'{other}' and '{name}' are the same class"
            )
            raise SettingError(f"{written}; name each class once")
        taken[_fold(name)] = name


def _encoder(card: ModelCard, fresh: Sequence[str], vectors: Path | None) -> TextEncoder:
    wanted = card.classes.encoder
    if vectors is not None:
        encoder = FileTextEncoder(vectors)
        if encoder.name != wanted:
            raise ModelError(
                f"{vectors} holds vectors of '{encoder.name}', the model was trained on '{wanted}'; give that file"
            )
        return encoder
    if wanted.startswith(FILE_ENCODER):
        raise ModelError(
            f"the model does not know the class '{fresh[0]}' and its word vectors come from a file "
            f"({wanted.removeprefix(FILE_ENCODER)}); give that file with --vectors{_did_you_mean(fresh[0], card)}"
        )
    try:
        return create_text_encoder(wanted)
    except SettingError as error:
        raise ModelError(
            f"the model does not know the class '{fresh[0]}' and its text encoder '{wanted}' is not here to encode it"
            f"{_did_you_mean(fresh[0], card)}"
        ) from error


def _did_you_mean(name: str, card: ModelCard) -> str:
    near = nearest_name(name, card.classes.names)
    # All names of a benchmark would bury the message.
    return near if "did you mean" in near else f"; it knows {len(card.classes.names)} other classes"


def _only_unseen(candidates: Candidates, unseen_only: bool) -> Candidates:
    if not unseen_only:
        return candidates
    kept = (~candidates.seen).nonzero().squeeze(1)
    if len(kept) == 0:
        raise SettingError("the model was trained on all of these classes, so none is unseen; leave out --unseen-only")
    names = tuple(candidates.names[i] for i in kept.tolist())
    return Candidates(names, candidates.vectors[kept], candidates.seen[kept])


def _fold(name: str) -> str:
    return "".join(phrase(name).casefold().split())
