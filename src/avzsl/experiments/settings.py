"""All settings of a run in one record: dataclass defaults, then a preset, then what the user says."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import avzsl.methods
from avzsl.config import fill, is_preset_file, load_preset, place_assignments, plain, preset_names, reference_values
from avzsl.errors import SettingError, nearest_name
from avzsl.evaluation.protocol import ProtocolConfig
from avzsl.methods._base import METHODS, Method
from avzsl.training.loop import TrainConfig

assert avzsl.methods  # imported for its registrations


@dataclass(frozen=True)
class DataConfig:
    """Which features of a benchmark folder to read, and how.

    Attributes:
        family: feature family; None = the one that is there.
        temporal: one row per segment instead of one per clip; a method that takes no others has them by itself.
        max_segments: average longer clips down to this many rows; None = as stored.
        text_assignment: how word vectors go to classes; None = by mode (docs/protocol.md section 6).
        text_lookup: how training finds a class's vector; None = by mode (P2).
        trust: read temporal features from the public pickles (without running code from them).
        audio_columns: what the settings were made for; other features are refused. 0 = any.
        visual_columns: likewise.
    """

    family: str | None = None
    temporal: bool = False
    max_segments: int | None = None
    text_assignment: Literal["by_name", "by_sorted_rank"] | None = None
    text_lookup: Literal["by_id", "by_set_order"] | None = None
    trust: bool = False
    audio_columns: int = 0
    visual_columns: int = 0


@dataclass(frozen=True)
class Settings:
    """Everything that decides a run besides the data itself.

    Attributes:
        method: registered name.
        preset: name of the preset it started from, or None.
        config: the method's own settings.
        train: how long and how fast.
        data: which features.
        protocol: how it is judged.
        seed: of everything random.
        published: what the preset's section `paper` says: published numbers in percent, and where they stand. Empty
            when another feature family was asked for than the preset is for.
    """

    method: str
    preset: str | None
    config: Any
    train: TrainConfig
    data: DataConfig
    protocol: ProtocolConfig
    seed: int = 42
    published: Mapping[str, Any] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON values, without the published numbers (they decide nothing)."""
        return {
            "method": self.method,
            "preset": self.preset,
            "seed": self.seed,
            "settings": {
                "method": plain(self.config),
                "train": plain(self.train),
                "data": plain(self.data),
                "protocol": plain(self.protocol),
            },
        }


def assemble(
    method: str,
    *,
    preset: str | None = None,
    assignments: Iterable[str] = (),
    options: Mapping[str, Mapping[str, Any]] | None = None,
    seed: int = 42,
) -> Settings:
    """Build the settings of a run.

    In reference mode the quirks among a method's settings (`avzsl.config.quirk`) are on, and the preset's sections
    `reference.<section>` join its others; a setting given by name still wins.

    Args:
        method: registered name.
        preset: one of the method's presets, or the path of a TOML file.
        assignments: `key=value` texts; they win over the preset.
        options: section to values, None = not given; they win over everything.
        seed: from 0.

    Raises:
        SettingError: an unknown method, preset or setting, a value out of range, or features that the method does not
            take.
    """
    kind = METHODS.get(method)
    if not 0 <= seed < 2**63:
        raise SettingError(f"seed is {seed}; it must be at least 0 and below 2^63")
    sections = {"method": kind.Config, "train": TrainConfig, "data": DataConfig, "protocol": ProtocolConfig}
    values: dict[str, dict[str, Any]] = {name: {} for name in sections}
    loaded = {} if preset is None else load_preset(method, preset)
    published, reference = loaded.pop("paper", {}), loaded.pop("reference", {})
    for name, section in (("paper", published), ("reference", reference)):
        if not isinstance(section, dict):
            raise SettingError(f"'{name}' in preset {preset} is {section!r}; it must be a section, [{name}]")
    for name, section in [*loaded.items(), *reference.items()]:
        if name not in sections or not isinstance(section, dict):
            where = preset if preset and is_preset_file(preset) else f"{method}/{preset}"
            raise SettingError(f"unknown section '{name}' in preset {where}{nearest_name(name, sections)}")
    placed = place_assignments(assignments, sections)
    given = {
        name: {key: value for key, value in (options or {}).get(name, {}).items() if value is not None}
        for name in sections
    }
    for name in sections:
        values[name] |= loaded.get(name, {})
    mode = (values["protocol"] | placed["protocol"] | given["protocol"]).get("mode", ProtocolConfig.mode)
    if mode == "reference":
        values["method"] = reference_values(kind.Config) | values["method"]
        for name, section in reference.items():
            values[name] |= section
    family = (placed["data"] | given["data"]).get("family")
    if family is not None and family != loaded.get("data", {}).get("family"):
        published = {}
        _warn_of_family(method, preset, loaded, family)
    _drop_what_no_longer_applies(values["data"], placed["data"] | given["data"])
    for name in sections:
        values[name] |= placed[name] | given[name]
    if "averaged" not in kind.inputs:
        values["data"].setdefault("temporal", True)
    filled: dict[str, Any] = {name: fill(sections[name], values[name], f"[{name}]") for name in sections}
    _check_features(kind, filled["data"])
    return Settings(
        method, preset, filled["method"], filled["train"], filled["data"], filled["protocol"], seed, published
    )


def _drop_what_no_longer_applies(preset: dict[str, Any], given: Mapping[str, Any]) -> None:
    """What a preset says of its features goes when the user asks for others by name."""
    if "family" in given:
        preset.pop("audio_columns", None)
        preset.pop("visual_columns", None)
    if given.get("temporal") is False:
        preset.pop("max_segments", None)


def _check_features(kind: type[Method], data: DataConfig) -> None:
    """Refuse features that a method does not take."""
    asked, how = ("temporal", "--temporal") if data.temporal else ("averaged", "--averaged")
    if asked not in kind.inputs:
        said = f"temporal = {str(data.temporal).lower()}"
        raise SettingError(f"{kind.title} takes {kind.inputs} features; {asked} ones were asked for ({how}, or {said})")


def _warn_of_family(method: str, preset: str | None, loaded: Mapping[str, Any], family: str) -> None:
    """Point to the preset for another feature family, where there is one that sets something else."""
    own = loaded.get("data", {}).get("family")
    if preset is None or own is None:
        return
    stem = preset.removesuffix(f"_{own}")
    other = stem if family == "main" else f"{stem}_{family}"
    if other not in preset_names(method):
        return
    settings = [load_preset(method, name) for name in (preset, other)]
    for sections in settings:
        for name in ("data", "paper"):
            sections.pop(name, None)
    if settings[0] != settings[1]:
        warnings.warn(
            f"preset {method}/{preset} has the settings for family '{own}'; those for '{family}' are in '{other}'",
            stacklevel=3,
        )
