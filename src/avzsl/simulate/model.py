"""How simulated features come about: from a class's words, its own part, its source recording, the clip, the second.

For a clip i of class c from source recording g, second t has, for each modality on its own, the row

    x_t = relu(shift + M' (a (text f(w_c) + residual r_c) + group s_g + clip e_i + segment n_t) + column q_i)

with f(w) = W2' tanh(gain W1' w), two fixed random layers; w_c the class's text vector; a = 1, or `audio` for sound;
r_c, s_g, e_i, n_t [latent] and q_i [columns] standard normal; M mixing `latent` factors into the columns. W1, W2, M and
all draws follow from the seed and from names alone, so the same seed gives the same bytes whatever else is simulated
beside it. The averaged row of a clip is the mean of its x_t.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

VERSION = 1
STEP_SECONDS = 1.0
# Clips cut from one source share the first part: UCF's v_Archery_g01_c03, and YouTube's eleven letters with a place.
_SOURCES = (re.compile(r"(.+_g\d+)_c\d+"), re.compile(r"(.{11})_\d+"))

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class SimulationConfig:
    """Strengths of the parts of a feature row; the defaults put a ridge regression in the middle of the scale.

    Attributes:
        text: of what follows from the class's text vector, the only way to an unseen class.
        residual: of what is the class's own and cannot be read from its name.
        group: of what clips of one source recording share.
        clip: of what is one clip's own.
        segment: of what changes from second to second.
        column: noise of each column on its own.
        audio: factor on the class's part in sound; pictures have 1.
        gain: of the text vector before the tanh; larger is less linear.
        shift: added before the ReLU; smaller means more zeros.
        latent: number of factors that are mixed into the columns.
        hidden: width of the hidden layer between text vector and factors.
        shortest: seconds.
        longest: seconds.
    """

    text: float = 2.0
    residual: float = 0.5
    group: float = 0.8
    clip: float = 1.0
    segment: float = 0.5
    column: float = 0.5
    audio: float = 0.5
    gain: float = 2.0
    shift: float = 0.0
    latent: int = 96
    hidden: int = 256
    shortest: int = 3
    longest: int = 10

    def __post_init__(self) -> None:
        for name in ("text", "residual", "group", "clip", "segment", "column", "audio", "gain"):
            if not 0 <= getattr(self, name) < float("inf"):
                raise ValueError(f"{name} must be 0 or more, and finite")
        if not -10 <= self.shift <= 10:
            raise ValueError("shift must lie between -10 and 10")
        if self.latent < 1 or self.hidden < 1:
            raise ValueError("latent and hidden must be at least 1")
        if not 1 <= self.shortest <= self.longest:
            raise ValueError("shortest must be at least 1 and at most longest")


class Simulator:
    """Draws the rows of one modality.

    Args:
        config: strengths.
        modality: `"audio"` or `"visual"`.
        columns: of a row.
        text: columns of a text vector.
        seed: of everything.
    """

    def __init__(self, config: SimulationConfig, modality: str, columns: int, text: int, seed: int) -> None:
        self.config, self.modality, self.columns, self.seed = config, modality, columns, seed
        self._first = self._draw("first layer", "", text, config.hidden)
        self._second = self._draw("second layer", "", config.hidden, config.latent) / config.hidden**0.5
        self._mixing = self._draw("mixing", "", config.latent, columns) / config.latent**0.5
        self._source = lru_cache(maxsize=4096)(lambda name: self._draw("source", name, config.latent))

    def centre(self, class_name: str, vector: Floats) -> Floats:
        """The class's part [latent]: from its text vector [d_w] and its own."""
        config = self.config
        # Sums instead of matrix products: their last digits do not depend on the machine's library.
        inner = np.tanh(config.gain * (vector[:, None] * self._first).sum(0))
        read = (inner[:, None] * self._second).sum(0)
        part: Floats = config.text * read + config.residual * self._draw("class", class_name, config.latent)
        return part * (config.audio if self.modality == "audio" else 1.0)

    def rows(self, centre: Floats, class_name: str, clip: str, seconds: int) -> NDArray[np.float32]:
        """The rows [seconds, columns] of one clip, none below zero."""
        config = self.config
        key = f"{class_name}/{clip}"
        own = config.clip * self._draw("clip", key, config.latent)
        source = config.group * self._source(f"{class_name}/{source_of(clip)}")
        moments = config.segment * self._draw("segment", key, seconds, config.latent)
        mixed = (centre + source + own + moments) @ self._mixing
        rows: Floats = config.shift + mixed + config.column * self._draw("column", key, self.columns)
        return np.maximum(rows, 0).astype(np.float32)

    def _draw(self, purpose: str, name: str, *shape: int) -> Floats:
        return _generator(self.seed, f"{self.modality}/{purpose}", name).standard_normal(shape)


def source_of(clip: str) -> str:
    """The source recording of a clip, as far as its name tells; else the clip itself."""
    for pattern in _SOURCES:
        found = pattern.fullmatch(clip)
        if found:
            return found[1]
    return clip


def seconds_of(config: SimulationConfig, class_name: str, clip: str, seed: int) -> int:
    """Length of a clip, the same for both modalities."""
    generator = _generator(seed, "seconds", f"{class_name}/{clip}")
    return int(generator.integers(config.shortest, config.longest + 1))


def _generator(seed: int, purpose: str, name: str) -> np.random.Generator:
    """A stream of its own for every name, so that nothing depends on the order of drawing."""
    digest = hashlib.sha256(f"{seed}/{purpose}/{name}".encode()).digest()
    return np.random.Generator(np.random.PCG64(int.from_bytes(digest[:16], "big")))
