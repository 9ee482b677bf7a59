"""The parts that methods without gradient steps share."""

from __future__ import annotations

import pytest
import torch

from avzsl.errors import ModelError, SettingError
from avzsl.methods._inputs import given_averages
from avzsl.methods._linear import (
    balanced_recall,
    class_shares,
    hidden_groups,
    penalised_solve,
    side_by_side,
    used_sizes,
)
from avzsl.methods._moments import weighted_statistics
from avzsl.types import Clips, Dimensions


def test_a_setting_picks_modalities_and_audio_comes_first() -> None:
    assert list(used_sizes(Dimensions(3, 2, 9), "both").items()) == [("audio", 3), ("visual", 2)]
    assert used_sizes(Dimensions(3, 2, 9), "visual") == {"visual": 2}
    assert used_sizes(Dimensions(None, 2, 9), "both") == {"visual": 2}
    with pytest.raises(SettingError, match="modality is 'audio', but these features have none of it"):
        used_sizes(Dimensions(None, 2, 9), "audio")


def test_rows_stand_side_by_side_and_a_missing_modality_is_its_training_mean() -> None:
    audio = torch.tensor([[[1.0, 2.0], [3.0, 4.0], [9.0, 9.0]]])
    clips = Clips(audio, torch.tensor([[[7.0]]]), torch.tensor([[True, True, False]]))
    sizes, mean = {"audio": 2, "visual": 1}, torch.tensor([10.0, 20.0, 30.0])
    assert side_by_side(clips, sizes, mean).tolist() == [[2, 3, 7]]
    assert side_by_side(clips.only("visual"), sizes, mean).tolist() == [[10, 20, 7]]
    assert side_by_side(clips.only("audio"), sizes, mean).tolist() == [[2, 3, 30]]
    assert set(given_averages(clips.only("audio"), sizes)) == {"audio"}


def test_clips_that_do_not_fit_are_refused() -> None:
    clips = Clips(torch.ones(2, 1, 3), None, torch.tensor([[True], [False]]))
    with pytest.raises(ModelError, match="a clip has no audio segment; leave audio out"):
        given_averages(clips, {"audio": 3})
    with pytest.raises(ModelError, match="audio features have 3 columns, this model was built for 4"):
        given_averages(clips, {"audio": 4})
    with pytest.raises(ModelError, match="these clips have no visual, all that this model looks at"):
        given_averages(clips, {"visual": 3})


def test_shares_by_class_and_by_row() -> None:
    labels = torch.tensor([0, 0, 0, 2])
    assert class_shares(labels, 4, True).tolist() == pytest.approx([1 / 6, 1 / 6, 1 / 6, 1 / 2])
    assert class_shares(labels, 4, False).tolist() == [0.25] * 4


def test_weighted_statistics_by_hand() -> None:
    rows = torch.tensor([[0.0, 5.0], [4.0, 5.0]], dtype=torch.float64)
    mean, scale = weighted_statistics(rows.__getitem__, torch.tensor([0.75, 0.25], dtype=torch.float64))
    assert mean.tolist() == [1, 5]
    assert scale.tolist() == pytest.approx([3**0.5, 1])  # 0.75 · 1 + 0.25 · 9; a constant column is left alone


def test_every_class_with_clips_is_hidden_once() -> None:
    labels = torch.tensor([1, 1, 2, 4, 5, 5, 6, 8])  # classes 0, 3 and 7 have no clips
    groups = [(hidden.tolist(), candidates.tolist()) for hidden, candidates in hidden_groups(labels, 9, 2)]
    assert [candidates for _, candidates in groups] == [[1, 4, 6], [2, 5, 8]]
    assert [[label in candidates for label in labels.tolist()] for _, candidates in groups] == [h for h, _ in groups]


def test_groups_hold_two_classes_at_least() -> None:
    assert [len(list(hidden_groups(torch.arange(n), n, 5))) for n in (3, 4, 5, 6, 9, 10, 40)] == [0, 2, 2, 3, 4, 5, 5]


def test_recall_counts_classes_equally() -> None:
    scores = torch.tensor([[2.0, 1.0], [1.0, 2.0], [1.0, 2.0], [1.0, 2.0]])
    candidates, labels = torch.tensor([3, 5]), torch.tensor([3, 3, 3, 5])
    assert balanced_recall(scores, candidates, labels) == pytest.approx((1 / 3 + 1) / 2)


def test_penalised_solve_solves() -> None:
    generator = torch.Generator().manual_seed(0)
    part = torch.randn(6, 4, generator=generator, dtype=torch.float64)
    cross = torch.randn(4, 3, generator=generator, dtype=torch.float64)
    found = penalised_solve(part.T @ part, cross, 0.3)
    assert torch.allclose((part.T @ part + 0.3 * torch.eye(4)) @ found, cross)
