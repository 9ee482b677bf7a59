"""A trained method on disk: weights and class vectors as safetensors, everything else as JSON. Nothing executable.

    model.safetensors   weights.<name> for every parameter and buffer, classes.vectors [C, d_w]
    model.json          the card: method, settings, classes, seen mask, bias, who made features and text vectors

The JSON file is written last and carries the hash of the tensor file, so a crash between the two is noticed.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from avzsl.config import fill
from avzsl.errors import AvzslError, DataError, ModelError, nearest_name
from avzsl.files import read_json, write_bytes, write_json
from avzsl.methods._base import METHODS, Method
from avzsl.methods._parts import at_most
from avzsl.types import Dimensions, ExtractorIdentity, TextVectors

FORMAT = 1
TENSORS = "model.safetensors"
CARD = "model.json"
_WEIGHTS = "weights."
# Types of what the card holds as it is; the rest is looked at more closely.
_PLAIN = {
    "method": str, "config": Mapping, "benchmark": str, "fingerprint": str, "family": str, "temporal": bool,
    "mode": str, "quirks": Mapping, "seed": int, "epochs": int, "versions": Mapping,
}  # fmt: skip
_VECTORS = "classes.vectors"
# Layers and weights that a model may be built of: more with more tensors, so that a card cannot ask for any number.
_PARTS, _PARTS_PER_TENSOR = 1000, 50


@dataclass(frozen=True)
class ModelCard:
    """All that must be known of a model besides its weights to use it again.

    Attributes:
        method: registered name.
        config: the method's settings as plain values.
        dimensions: sizes it was built for.
        classes: the classes of its benchmark, in the order of `seen`.
        seen: one flag per class, True when the model was trained on clips of it.
        bias: what is taken off the scores of seen classes, chosen on validation data.
        extractor: who made the features it was trained on.
        benchmark: name of the benchmark folder.
        fingerprint: content hash of the training data.
        family: feature family.
        temporal: True when clips come with one row per segment.
        max_segments: at most this many rows per clip; None = all.
        mode: `"clean"` or `"reference"`.
        quirks: the named switches of the protocol as plain values.
        seed: of weights, batches and dropout.
        epochs: how many epochs the weights were trained for.
        versions: of Python and the packages that matter.
    """

    method: str
    config: Mapping[str, Any]
    dimensions: Dimensions
    classes: TextVectors
    seen: tuple[bool, ...]
    bias: float
    extractor: ExtractorIdentity
    benchmark: str = ""
    fingerprint: str = ""
    family: str = "main"
    temporal: bool = False
    max_segments: int | None = None
    mode: str = "clean"
    quirks: Mapping[str, Any] = field(default_factory=dict)
    seed: int = 0
    epochs: int = 0
    versions: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not len(self.classes.names) == len(self.seen) == len(self.classes.vectors):
            raise ModelError(
                f"the model names {len(self.classes.names)} classes but has {len(self.classes.vectors)} vectors"
                f" and {len(self.seen)} seen flags; train it again"
            )

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON values; the class vectors stay out (they are tensors)."""
        values = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return values | {
            "config": dict(self.config),
            "dimensions": asdict(self.dimensions),
            "classes": {"names": list(self.classes.names), "encoder": self.classes.encoder},
            "seen": list(self.seen),
            "extractor": self.extractor.as_dict(),
            "quirks": dict(self.quirks),
            "versions": dict(self.versions),
        }

    @staticmethod
    def from_dict(values: Mapping[str, Any], vectors: Tensor) -> ModelCard:
        """Inverse of `as_dict`, given the class vectors [C, d_w].

        Raises:
            KeyError, TypeError, ValueError: a value is absent, of another type or out of range.
        """
        known = {n: values[n] for n in ModelCard.__dataclass_fields__}
        for name, kind in _PLAIN.items():
            if not isinstance(known[name], kind) or (isinstance(known[name], bool) and kind is not bool):
                raise TypeError(f"{name} is {known[name]!r}")
        names = tuple(str(n) for n in values["classes"]["names"])
        dimensions = Dimensions(**values["dimensions"])
        if vectors.dim() != 2 or vectors.shape[1] != dimensions.text or not vectors.is_floating_point():
            raise ValueError(f"class vectors are {_kind(vectors)} instead of rows of {dimensions.text} numbers")
        if len(set(names)) != len(names):
            raise ValueError("a class is named twice")
        if not math.isfinite(float(values["bias"])) or not vectors.isfinite().all():
            raise ValueError("the bias or a class vector is not finite")
        if not all(isinstance(flag, bool) for flag in values["seen"]):
            raise TypeError("a seen flag is neither true nor false")
        most = values["max_segments"]
        if most is not None and (not isinstance(most, int) or most < 1):
            raise ValueError(f"max_segments is {most!r}")
        return ModelCard(
            **known
            | {
                "dimensions": dimensions,
                "classes": TextVectors(names, vectors, str(values["classes"]["encoder"])),
                "seen": tuple(bool(s) for s in values["seen"]),
                "bias": float(values["bias"]),
                "extractor": ExtractorIdentity.from_dict(values["extractor"]),
                "quirks": dict(values["quirks"]),
            }
        )


def save_model(folder: Path, method: Method, card: ModelCard) -> None:
    """Write `model.safetensors` and `model.json` into `folder`.

    Raises:
        OutputError: the folder cannot be written to.
    """
    from safetensors.torch import save

    tensors = {_WEIGHTS + name: _own(value) for name, value in method.state_dict().items()}
    data = save(tensors | {_VECTORS: _own(card.classes.vectors)})
    write_bytes(folder / TENSORS, data)
    write_json(folder / CARD, {"format": FORMAT, "sha256": hashlib.sha256(data).hexdigest(), **card.as_dict()})


def load_card(folder: Path) -> ModelCard:
    """Read the card of a model without building the model.

    Raises:
        ModelError: as `load_model`.
    """
    return _read(folder)[0]


def load_model(folder: Path, device: torch.device | str = "cpu") -> tuple[Method, ModelCard]:
    """Read a model back, exactly as it was saved, in evaluation mode.

    Raises:
        ModelError: no model is there; it is damaged; it needs a newer version; its method is unknown; its weights do
            not fit its settings.
    """
    card, tensors = _read(folder)
    if card.method not in METHODS:
        raise ModelError(
            f"{folder / CARD}: unknown method '{card.method}'{nearest_name(card.method, METHODS)}"
            " (a method of your own needs its file: avzsl --use FILE.py ..., or avzsl.use('FILE.py'))"
        )
    try:
        kind = METHODS.get(card.method)
        config = fill(kind.Config, card.config, f"{folder / CARD}")
        # The weights drawn here are overwritten; the caller's random stream must not notice.
        with torch.random.fork_rng(devices=[]):
            # First without memory: a card that asks for more than its tensors hold must not get it.
            with torch.device("meta"), at_most(_PARTS + _PARTS_PER_TENSOR * len(tensors)):
                _check_fit(_build(kind, config, card, tensors), tensors, folder / TENSORS)
            method = _build(kind, config, card, tensors)
    except ModelError:
        raise
    except AvzslError as error:
        raise ModelError(f"{folder / CARD}: {error}") from error
    except (TypeError, ValueError, RuntimeError, LookupError, ArithmeticError, AttributeError) as error:
        raise ModelError(f"{folder / CARD} describes a model that cannot be built ({error}); {_AGAIN}") from error
    method.load_state_dict(_weights(tensors))
    return method.to(device).eval(), card


def check_extractor(card: ModelCard, identity: ExtractorIdentity, where: str) -> None:
    """Refuse features of another extractor than the model was trained on.

    Args:
        card: the model's card.
        identity: who made the features at hand.
        where: named in the message, such as the benchmark folder.

    Raises:
        ModelError: the two differ; the message says in what.
    """
    mine, other = card.extractor.as_dict(), identity.as_dict()
    if mine == other:
        return
    differing = [f"{k} {other[k]!r} instead of {mine[k]!r}" for k in mine if mine[k] != other[k]]
    raise ModelError(
        f"{where}: these features are from another extractor than the model's ({'; '.join(differing)}); "
        "extract them again with the model's extractor, or train a model on them"
    )


_AGAIN = "train the model again with --fresh, or copy its folder again"


def _own(value: Tensor) -> Tensor:
    # safetensors refuses views and tensors that share memory.
    return value.detach().to("cpu").contiguous().clone()


def _read(folder: Path) -> tuple[ModelCard, dict[str, Tensor]]:
    from safetensors import SafetensorError
    from safetensors.torch import load

    for name in (CARD, TENSORS):
        if not (folder / name).is_file():
            raise ModelError(f"no model in {folder}: {name} is missing; give the folder that 'avzsl train' wrote")
    try:
        values = read_json(folder / CARD)
    except DataError as error:
        raise ModelError(f"{folder / CARD} is damaged; {_AGAIN}") from error
    version = values.get("format") if isinstance(values, dict) else None
    if not isinstance(version, int) or version < 1:
        raise ModelError(f"{folder / CARD} is not a model card; {_AGAIN}")
    if version > FORMAT:
        raise ModelError(
            f"{folder / CARD} has format {version}, this version of avzsl reads up to {FORMAT}; install a newer avzsl"
        )
    try:
        data = (folder / TENSORS).read_bytes()
        if hashlib.sha256(data).hexdigest() != values["sha256"]:
            raise ModelError(f"{folder / TENSORS} is damaged or belongs to another {CARD}; {_AGAIN}")
        tensors = load(data)
        return ModelCard.from_dict(values, tensors.pop(_VECTORS)), tensors
    except (SafetensorError, OSError) as error:
        raise ModelError(f"{folder / TENSORS} cannot be read ({error}); {_AGAIN}") from error
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise ModelError(f"{folder / CARD} is incomplete ({error}); {_AGAIN}") from error


def _weights(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(_WEIGHTS): value for name, value in tensors.items() if name.startswith(_WEIGHTS)}


def _build(kind: type[Method], config: Any, card: ModelCard, tensors: Mapping[str, Tensor]) -> Method:
    method = kind(config, card.dimensions)
    method.make_room({name: tuple(value.shape) for name, value in _weights(tensors).items()})
    return method


def _check_fit(method: Method, tensors: Mapping[str, Tensor], path: Path) -> None:
    wanted, found = method.state_dict(), _weights(tensors)
    problems = [f"'{n}' is missing" for n in wanted if n not in found]
    problems += [f"'{n}' is not part of the method" for n in found if n not in wanted]
    problems += [
        f"'{n}' is {_kind(found[n])}, the settings ask for {_kind(wanted[n])}"
        for n in wanted
        if n in found and _kind(found[n]) != _kind(wanted[n])
    ]
    if problems:
        more = f" and {len(problems) - 3} more" if len(problems) > 3 else ""
        raise ModelError(f"{path} does not fit its settings: {', '.join(problems[:3])}{more}; {_AGAIN}")


def _kind(value: Tensor) -> str:
    return f"{str(value.dtype).removeprefix('torch.')} {list(value.shape)}"
