"""Features in memory, and the records that training and evaluation read them from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from avzsl.types import Clips


@dataclass(frozen=True, eq=False)
class Ragged:
    """Rows of N clips, one clip after the other.

    Attributes:
        data: [sum of T, d] float32.
        offsets: [N + 1] int64, first row of each clip; None when every clip has exactly one row.
    """

    data: Tensor
    offsets: Tensor | None = None

    def __len__(self) -> int:
        return len(self.data) if self.offsets is None else len(self.offsets) - 1

    def gather(self, rows: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """The given clips (None = all) as [B, L, d] padded with zeros, and [B, L] True for real rows (None = all)."""
        if self.offsets is None:
            picked = self.data if rows is None else self.data.index_select(0, rows)
            return picked.unsqueeze(1), None
        starts, ends = self.offsets[:-1], self.offsets[1:]
        if rows is not None:
            starts, ends = starts.index_select(0, rows), ends.index_select(0, rows)
        lengths = ends - starts
        longest = int(lengths.max()) if len(lengths) else 1
        steps = torch.arange(longest, device=self.data.device)
        mask = steps < lengths.unsqueeze(1)  # [B, L]
        # Padding points at the clip's own last row, which always exists, and is zeroed afterwards.
        index = torch.minimum(starts.unsqueeze(1) + steps, ends.unsqueeze(1) - 1)
        values = self.data.index_select(0, index.flatten()).view(len(starts), longest, -1)
        if bool(mask.all()):
            return values, None
        return values.masked_fill_(~mask.unsqueeze(2), 0.0), mask

    def span(self, start: int, stop: int) -> Ragged:
        """Clips `start` to `stop`, without copying features."""
        if self.offsets is None:
            return Ragged(self.data[start:stop])
        offsets = self.offsets[start : stop + 1]
        first, last = int(offsets[0]), int(offsets[-1])
        return Ragged(self.data[first:last], offsets - first)

    def to(self, device: torch.device | str) -> Ragged:
        """The same rows on another device."""
        return Ragged(self.data.to(device), None if self.offsets is None else self.offsets.to(device))


@dataclass(frozen=True, eq=False)
class FeatureTable:
    """Audio and visual features of N clips; one of the two may be absent."""

    audio: Ragged | None
    visual: Ragged | None

    def __post_init__(self) -> None:
        if self.audio is None and self.visual is None:
            raise ValueError("a feature table needs audio, visual or both")
        if self.audio is not None and self.visual is not None and len(self.audio) != len(self.visual):
            raise ValueError(f"{len(self.audio)} audio clips but {len(self.visual)} visual clips")

    def __len__(self) -> int:
        return len(self._any)

    @property
    def _any(self) -> Ragged:
        return self.visual if self.audio is None else self.audio  # type: ignore[return-value]

    @property
    def device(self) -> torch.device:
        """Where the features lie."""
        return self._any.data.device

    def clips(self, rows: Tensor | None = None) -> Clips:
        """The clips at `rows` [B] int64, in that order and with repetition; None = all."""
        audio, audio_mask = (None, None) if self.audio is None else self.audio.gather(rows)
        visual, visual_mask = (None, None) if self.visual is None else self.visual.gather(rows)
        return Clips(audio, visual, audio_mask, visual_mask)

    def span(self, start: int, stop: int) -> FeatureTable:
        """Clips `start` to `stop`, without copying features."""
        return self._map(lambda rows: rows.span(start, stop))

    def only(self, modality: str) -> FeatureTable:
        """Drop the other modality; `"both"` keeps what is there."""
        return FeatureTable(None if modality == "visual" else self.audio, None if modality == "audio" else self.visual)

    def to(self, device: torch.device | str) -> FeatureTable:
        """The same table on another device."""
        return self._map(lambda rows: rows.to(device))

    def _map(self, change: Callable[[Ragged], Ragged]) -> FeatureTable:
        return FeatureTable(
            None if self.audio is None else change(self.audio), None if self.visual is None else change(self.visual)
        )


@dataclass(frozen=True, eq=False)
class Pool:
    """What one stage trains on.

    Attributes:
        features: N clips.
        labels: [N] int64, column of `classes`.
        classes: [C, d_w] float32, text vectors of the training classes in order of their ids.
        class_names: C names.
        clip_names: N names.
    """

    features: FeatureTable
    labels: Tensor
    classes: Tensor
    class_names: tuple[str, ...]
    clip_names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.labels)

    def to(self, device: torch.device | str) -> Pool:
        """The same pool on another device."""
        return replace(
            self,
            features=self.features.to(device),
            labels=self.labels.to(device),
            classes=self.classes.to(device),
        )


@dataclass(frozen=True, eq=False)
class EvaluationSet:
    """What one stage is judged on: clips of seen and unseen classes, all of which are candidates.

    Attributes:
        features: N clips.
        labels: [N] int64, column of `classes`.
        classes: [C, d_w] float32, text vectors of seen and unseen classes in order of their ids.
        class_names: C names.
        seen: [C] bool, True for a class that was trained on.
        clip_names: N names.
    """

    features: FeatureTable
    labels: Tensor
    classes: Tensor
    class_names: tuple[str, ...]
    seen: Tensor
    clip_names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.labels)

    def to(self, device: torch.device | str) -> EvaluationSet:
        """The same set on another device."""
        return replace(
            self,
            features=self.features.to(device),
            labels=self.labels.to(device),
            classes=self.classes.to(device),
            seen=self.seen.to(device),
        )


def average_segments(data: Tensor, offsets: Tensor, most: int) -> Ragged:
    """Shorten clips of more than `most` rows to exactly `most`, each the mean of neighbouring rows.

    Row i of a clip of T rows goes into mean `floor(i * most / T)`, so the means cover equal shares of the clip. Shorter
    clips stay as they are.

    Args:
        data: [sum of T, d].
        offsets: [N + 1] int64.
        most: at least 1.
    """
    lengths = offsets.diff()
    kept = lengths.clamp(max=most)
    fresh = torch.cat([offsets.new_zeros(1), kept.cumsum(0)])
    if torch.equal(kept, lengths):
        return Ragged(data, offsets)
    clip = torch.repeat_interleave(torch.arange(len(lengths)), lengths)
    position = torch.arange(len(data)) - offsets[clip]
    target = fresh[clip] + position * kept[clip] // lengths[clip]
    total = torch.zeros(int(fresh[-1]), data.shape[1], dtype=torch.float64).index_add_(0, target, data.double())
    count = torch.bincount(target, minlength=len(total)).unsqueeze(1)
    return Ragged((total / count).float(), fresh)
