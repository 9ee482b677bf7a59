"""The loss of DeViSE in the method; test_compatibility.py has what it shares, losses/test_ranking.py the loss."""

from __future__ import annotations

import pytest
import torch

from avzsl.methods._compatibility import CompatibilityConfig
from avzsl.methods.devise import Devise
from avzsl.types import Batch, Clips, Dimensions


def test_its_loss_is_that_of_the_scores_worked_out_by_hand() -> None:
    """The map hands the features on, so the scores are them: two clips and four classes."""
    method = Devise(CompatibilityConfig(dropout=0.0), Dimensions(1, 3, 4))
    with torch.no_grad():
        method.map.weight.copy_(torch.eye(4))
    scores = torch.tensor([[0.50, 0.45, 0.30, 0.70], [0.20, 0.90, 0.10, 0.85]]).unsqueeze(1)
    clips = Clips(scores[:, :, 3:], scores[:, :, :3])
    labels = torch.tensor([0, 1])
    terms = method.fit_step(Batch(clips, labels, clips, labels, torch.eye(4)))
    assert terms["loss"].item() == pytest.approx(0.2, abs=1e-6)
    method = Devise(CompatibilityConfig(dropout=0.0, margin=0.0), Dimensions(1, 3, 4))
    with torch.no_grad():
        method.map.weight.copy_(torch.eye(4))
    # Without a margin one violation is left: 0.2 in the first clip, so the three losses agree.
    assert method.fit_step(Batch(clips, labels, clips, labels, torch.eye(4)))["loss"].item() == pytest.approx(0.1)
