"""Feature tables in memory with the sizes of UCF's published splits; the numbers in them are drawn and mean nothing."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from avzsl.data.tables import EvaluationSet, FeatureTable, Pool, Ragged
from avzsl.types import Dimensions

# docs/protocol.md section 5, UCF, family main.
TRAINED, UNSEEN = 30, 12  # classes of stage 1
TRAINING_CLIPS, SEEN_CLIPS, UNSEEN_CLIPS = 3174, 353, 1467
COLUMNS, TEXT = 512, 300
# Rows of one second in a clip of UCF101, drawn evenly: between 3 and 10, so 6.5 in the mean; UCF101's mean is 7.2 s.
SHORTEST, LONGEST = 3, 10


@dataclass(frozen=True, eq=False)
class Simulated:
    """What stage 1 trains on and validates with."""

    pool: Pool
    validation: EvaluationSet

    @property
    def dimensions(self) -> Dimensions:
        """Columns of audio, visual and text vectors."""
        features = self.pool.features
        assert features.audio is not None and features.visual is not None
        return Dimensions(features.audio.data.shape[1], features.visual.data.shape[1], self.pool.classes.shape[1])


def ucf_like(
    generator: torch.Generator, *, temporal: bool = False, share: float = 1.0, columns: int = COLUMNS
) -> Simulated:
    """Stage 1 of UCF in sizes.

    Args:
        generator: source of all numbers.
        temporal: one row per second instead of one per clip.
        share: of the published number of clips.
        columns: of audio and visual rows.
    """
    words = functional.normalize(torch.randn(TRAINED + UNSEEN, TEXT, generator=generator), dim=1)
    trained = torch.arange(TRAINED)
    unseen = torch.arange(TRAINED, TRAINED + UNSEEN)
    labels = _labels(trained, TRAINING_CLIPS, share)
    judged = torch.cat([_labels(trained, SEEN_CLIPS, share), _labels(unseen, UNSEEN_CLIPS, share)])
    maps = torch.randn(2, TEXT, columns, generator=generator)
    names = tuple(f"class {c}" for c in range(TRAINED + UNSEEN))
    pool = Pool(
        _features(words[labels], maps, temporal, generator), labels, words[:TRAINED], names[:TRAINED],
        tuple(f"clip {n}" for n in range(len(labels))),
    )  # fmt: skip
    validation = EvaluationSet(
        _features(words[judged], maps, temporal, generator), judged, words, names,
        torch.arange(TRAINED + UNSEEN) < TRAINED, tuple(f"judged {n}" for n in range(len(judged))),
    )  # fmt: skip
    return Simulated(pool, validation)


def _labels(classes: Tensor, clips: int, share: float) -> Tensor:
    """Labels of about `clips` clips, as even as they go."""
    return classes.repeat(-(-clips // len(classes)))[: max(2 * len(classes), round(clips * share))]


def _features(words: Tensor, maps: Tensor, temporal: bool, generator: torch.Generator) -> FeatureTable:
    """Rows that follow from the class with noise on top."""
    lengths = torch.ones(len(words), dtype=torch.int64)
    if temporal:
        lengths = torch.randint(SHORTEST, LONGEST + 1, (len(words),), generator=generator)
    offsets = torch.cat([torch.zeros(1, dtype=torch.int64), lengths.cumsum(0)]) if temporal else None
    rows = words.repeat_interleave(lengths, 0)
    audio, visual = (rows @ m + torch.randn(len(rows), m.shape[1], generator=generator) for m in maps)
    return FeatureTable(Ragged(audio, offsets), Ragged(visual, offsets))
