"""The records that cross the borders of rooms.

Letters in shapes mean one thing everywhere: B clips, L segments, T spiking time steps, C classes,
d_a / d_v / d_w the sizes of one audio, visual and text vector, D the joint space.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

import torch
from torch import Tensor

MODALITIES = ("audio", "visual", "both")


@dataclass(frozen=True)
class Clips:
    """A block of B clips as a method receives them; one of the two modalities may be missing.

    Attributes:
        audio: [B, L_a, d_a] float32, one row per segment; None when there is no sound at all.
        visual: [B, L_v, d_v] float32; None when there is no picture at all.
        audio_mask: [B, L_a] bool, True for a real segment; None when all are real.
        visual_mask: [B, L_v] bool, likewise.
        events: [B, T, 2, H, W] float32, where the picture got brighter and darker in each of T parts of the clip; None
            where nobody computed them, as in every feature benchmark.
    """

    audio: Tensor | None
    visual: Tensor | None
    audio_mask: Tensor | None = None
    visual_mask: Tensor | None = None
    events: Tensor | None = None

    def __post_init__(self) -> None:
        if self.audio is None and self.visual is None:
            raise ValueError("a block of clips needs audio, visual or both")
        for name in ("audio", "visual"):
            values, mask = getattr(self, name), getattr(self, f"{name}_mask")
            if values is not None and values.dim() != 3:
                raise ValueError(f"{name} must be [B, L, d], got {tuple(values.shape)}")
            if mask is not None and (values is None or mask.shape != values.shape[:2]):
                raise ValueError(f"{name}_mask must be [B, L] like {name}, got {tuple(mask.shape)}")
        if self.audio is not None and self.visual is not None and len(self.audio) != len(self.visual):
            raise ValueError(f"{len(self.audio)} audio rows but {len(self.visual)} visual rows")
        if self.events is not None:
            if self.events.dim() != 5 or self.events.shape[2] != 2:
                raise ValueError(f"events must be [B, T, 2, H, W], got {tuple(self.events.shape)}")
            if self.visual is None or len(self.events) != len(self.visual):
                raise ValueError(f"{len(self.events)} event tensors need as many visual rows")

    def __len__(self) -> int:
        return len(self.visual if self.audio is None else self.audio)  # type: ignore[arg-type]

    @property
    def device(self) -> torch.device:
        """Where the features lie."""
        return (self.visual if self.audio is None else self.audio).device  # type: ignore[union-attr]

    def _map(self, change: Any) -> Clips:
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        return Clips(**{n: None if v is None else change(v) for n, v in values.items()})

    def to(self, device: torch.device | str) -> Clips:
        """The same clips on another device."""
        return self._map(lambda values: values.to(device))

    def rows(self, index: Tensor | slice) -> Clips:
        """The clips at the given positions."""
        return self._map(lambda values: values[index])

    def only(self, modality: str) -> Clips:
        """Drop (not zero) the other modality; `"both"` keeps what is there. Events belong to the picture."""
        if modality == "audio":
            return replace(self, visual=None, visual_mask=None, events=None)
        if modality == "visual":
            return replace(self, audio=None, audio_mask=None)
        return self

    @staticmethod
    def stack(first: Clips, second: Clips) -> Clips:
        """The clips of `first` followed by those of `second`; shorter ones are padded and masked."""
        audio, audio_mask = _stack(first.audio, second.audio, first.audio_mask, second.audio_mask, "audio")
        visual, visual_mask = _stack(first.visual, second.visual, first.visual_mask, second.visual_mask, "visual")
        if (first.events is None) != (second.events is None):
            raise ValueError("cannot join clips with events to clips without")
        events = None
        if first.events is not None and second.events is not None:
            events = torch.cat([first.events, second.events])
        return Clips(audio, visual, audio_mask, visual_mask, events)


def _stack(
    first: Tensor | None, second: Tensor | None, first_mask: Tensor | None, second_mask: Tensor | None, name: str
) -> tuple[Tensor | None, Tensor | None]:
    if first is None or second is None:
        if first is not None or second is not None:
            raise ValueError(f"cannot join clips with {name} to clips without")
        return None, None
    length = max(first.shape[1], second.shape[1])
    ragged = first.shape[1] != second.shape[1]
    if not ragged and first_mask is None and second_mask is None:
        return torch.cat([first, second]), None
    blocks, masks = [], []
    for values, mask in ((first, first_mask), (second, second_mask)):
        missing = length - values.shape[1]
        if mask is None:
            mask = torch.ones(values.shape[:2], dtype=torch.bool, device=values.device)
        blocks.append(torch.nn.functional.pad(values, (0, 0, 0, missing)))
        masks.append(torch.nn.functional.pad(mask, (0, missing)))
    return torch.cat(blocks), torch.cat(masks)


@dataclass(frozen=True)
class Batch:
    """What one training step sees: B pairs of a clip and a clip of another class.

    Attributes:
        clips: the B drawn clips.
        labels: [B] int64, column of `classes`.
        negatives: B clips, each of another class than its partner.
        negative_labels: [B] int64.
        classes: [C, d_w] float32, the text vectors of the training classes.
    """

    clips: Clips
    labels: Tensor
    negatives: Clips
    negative_labels: Tensor
    classes: Tensor


@dataclass(frozen=True)
class Dimensions:
    """Sizes a method is built for; None = that modality is not there."""

    audio: int | None
    visual: int | None
    text: int


@dataclass(frozen=True)
class TextVectors:
    """Named text vectors and what made them.

    Attributes:
        names: class names.
        vectors: [C, d_w] float32 of unit length.
        encoder: name of the encoder, stored in every model trained on them.
    """

    names: tuple[str, ...]
    vectors: Tensor
    encoder: str


# Features with this maker were drawn from a model and belong to no video; every result that rests on them says so.
SIMULATED = "simulated"


@dataclass(frozen=True)
class ExtractorIdentity:
    """Who made a feature file. Two identities that differ must never meet in one model.

    Attributes:
        name: the extractor's registered name; `"unknown"` for files that do not say, `SIMULATED` for drawn ones.
        profile: `"clean"`, `"published"` or `"unknown"`.
        settings: everything that changes the numbers, as plain JSON values.
        version: version of the extractor's numerics.
    """

    name: str
    profile: str = "clean"
    settings: Mapping[str, Any] = field(default_factory=dict)
    version: int = 1

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {"name": self.name, "profile": self.profile, "settings": dict(self.settings), "version": self.version}

    @staticmethod
    def from_dict(values: Mapping[str, Any]) -> ExtractorIdentity:
        """Inverse of `as_dict`."""
        return ExtractorIdentity(
            str(values["name"]), str(values["profile"]), dict(values["settings"]), int(values["version"])
        )


@dataclass(frozen=True)
class ClipFeatures:
    """Features of one media file, one row per segment.

    Attributes:
        audio: [L_a, d_a] float32 numpy array or None.
        visual: [L_v, d_v] float32 numpy array or None.
        step_seconds: seconds between the starts of two segments.
        warnings: what a reader should know (`"short"`, `"no sound"`).
    """

    audio: Any
    visual: Any
    step_seconds: float
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Gzsl:
    """Generalised zero-shot scores of one evaluation, as fractions in [0, 1].

    Attributes:
        seen: mean per-class recall over seen classes, all classes being candidates (S).
        unseen: the same over unseen classes (U).
        hm: harmonic mean of `seen` and `unseen`.
        zsl: mean per-class recall over unseen classes with only these as candidates.
        bias: what was taken off the scores of seen classes.
        recall: [C] per-class recall in the generalised setting, NaN for a class without clips.
        zsl_recall: [C] the same with unseen candidates only, NaN for seen classes.
    """

    seen: float
    unseen: float
    hm: float
    zsl: float
    bias: float
    recall: Tensor
    zsl_recall: Tensor


@dataclass(frozen=True)
class BiasCurve:
    """Seen, unseen and harmonic mean at every bias of a grid ([K] float64 each), and the chosen one."""

    grid: Tensor
    seen: Tensor
    unseen: Tensor
    hm: Tensor
    best: float


@dataclass(frozen=True)
class SpikeTrace:
    """What the neurons of one block did for one clip.

    Attributes:
        modality: `"audio"` or `"visual"`.
        block: 0-based index of the block.
        spikes: [T, N] bool.
        threshold: [T, channels] float32, the threshold each channel fired against.
        membrane: [T, N] float32, before the reset.
    """

    modality: str
    block: int
    spikes: Tensor
    threshold: Tensor
    membrane: Tensor
