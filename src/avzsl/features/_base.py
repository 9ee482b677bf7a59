"""What an extractor is: media file in, one row of numbers per segment and modality out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from avzsl.config import fill
from avzsl.errors import ModelError, SettingError, nearest_name
from avzsl.registry import Registry, class_decorator
from avzsl.types import ClipFeatures, ExtractorIdentity

FloatArray = NDArray[np.float32]

EXTRACTORS: Registry[type[Extractor]] = Registry("extractor")
# Class decorator: files an extractor under a name.
register = class_decorator(EXTRACTORS)


class Extractor(ABC):
    """Turns one media file into audio and visual rows.

    An extractor is built as `SomeExtractor(config)`. Everything that changes its numbers is in `identity`: settings,
    profile, version and, for a network, the hash of its weights (weights themselves are named by path in `Config`).
    Instances are sent to child processes, so they must be picklable; heavy models load on first use.

    Class attributes:
        Config: frozen dataclass of settings, all with defaults.
        name: set by `register`.
    """

    Config: ClassVar[type[Any]]
    name: ClassVar[str]

    def __init__(self, config: Any) -> None:
        self.config = config

    @property
    @abstractmethod
    def identity(self) -> ExtractorIdentity:
        """Who makes the numbers; stored with them and compared before they are used."""

    @property
    @abstractmethod
    def audio_dim(self) -> int | None:
        """Columns of an audio row; None for an extractor that does not listen."""

    @property
    @abstractmethod
    def visual_dim(self) -> int | None:
        """Columns of a visual row; None for an extractor that does not look."""

    @property
    @abstractmethod
    def step_seconds(self) -> float:
        """Seconds between the starts of two rows."""

    @property
    def audio_step(self) -> float:
        """The same for audio rows, where the two differ (VGGish 0.96 s, C3D 0.64 s)."""
        return self.step_seconds

    @property
    def visual_step(self) -> float:
        """The same for visual rows."""
        return self.step_seconds

    @abstractmethod
    def extract(self, path: Path) -> ClipFeatures:
        """Features of one file; a modality that the file lacks is None.

        Raises:
            MediaError: the file cannot be read or has neither picture nor sound.
        """

    def average(self, features: ClipFeatures) -> tuple[FloatArray | None, FloatArray | None]:
        """One audio vector [d_a] and one visual vector [d_v]: the mean over rows, unweighted."""
        return _mean(features.audio), _mean(features.visual)

    def silence(self, rows: int) -> FloatArray:
        """Audio rows that stand for missing sound, [rows, d_a]; zeros unless an extractor knows better.

        Raises:
            SettingError: the extractor does not listen.
        """
        if self.audio_dim is None:
            raise SettingError(f"extractor '{self.name}' has no audio features, so sound cannot be missing")
        return np.zeros((rows, self.audio_dim), np.float32)


def _mean(rows: Any) -> FloatArray | None:
    return None if rows is None else np.asarray(rows, np.float64).mean(axis=0).astype(np.float32)


def create_extractor(name: str, **settings: Any) -> Extractor:
    """Build a registered extractor.

    Raises:
        SettingError: no extractor has that name, or it has no such setting.
    """
    extractor = EXTRACTORS.get(name)
    return extractor(fill(extractor.Config, settings, f"extractor {name}"))


def extractor_for(identity: ExtractorIdentity) -> Extractor:
    """The extractor that made features with this identity, for reading further files in the same way.

    Raises:
        ModelError: this installation cannot make such features.
    """
    if identity.name not in EXTRACTORS:
        near = nearest_name(identity.name, EXTRACTORS.names())
        raise ModelError(f"the features were made by '{identity.name}', which is not an extractor here{near}")
    try:
        extractor = create_extractor(identity.name, **identity.settings)
    except SettingError as error:
        raise ModelError(f"the features were made with settings this version does not know: {error}") from error
    if extractor.identity != identity:
        raise ModelError(
            f"the features were made by {identity.name} ({identity.profile}, version {identity.version}), but this "
            f"installation has ({extractor.identity.profile}, version {extractor.identity.version}); "
            "extract the features again or install the version that made them"
        )
    return extractor
