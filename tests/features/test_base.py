from __future__ import annotations

import dataclasses
import pickle
from pathlib import Path

import numpy as np
import pytest

from avzsl.errors import ModelError, SettingError
from avzsl.features._base import EXTRACTORS, create_extractor, extractor_for
from avzsl.types import ClipFeatures, ExtractorIdentity


def test_an_extractor_is_found_by_name_and_takes_settings() -> None:
    assert "builtin" in EXTRACTORS
    extractor = create_extractor("builtin", frame_rate=10, size=64)
    assert extractor.identity == ExtractorIdentity(
        "builtin", "clean", {"frame_rate": 10, "size": 64, "audio_rate": 16000}, extractor.identity.version
    )


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("bultin", {}, "did you mean 'builtin'"),
        ("builtin", {"framerate": 3}, "did you mean 'frame_rate'"),
        ("builtin", {"frame_rate": 0}, "frame_rate must be"),
        ("builtin", {"size": "big"}, "size"),
    ],
)
def test_a_wrong_name_or_setting_is_refused(name: str, settings: dict[str, object], message: str) -> None:
    with pytest.raises(SettingError, match=message):
        create_extractor(name, **settings)


def test_the_extractor_of_a_file_is_built_again_from_its_identity() -> None:
    identity = create_extractor("builtin", size=64).identity
    read_back = ExtractorIdentity.from_dict(identity.as_dict())
    assert extractor_for(read_back).identity == identity


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": "selavii"}, "not an extractor here"),
        ({"version": 999}, "version 999"),
        ({"profile": "published"}, "published"),
        ({"settings": {"future": 1}}, "settings this version does not know"),
    ],
)
def test_features_that_cannot_be_made_here_are_refused(change: dict[str, object], message: str) -> None:
    identity = dataclasses.replace(create_extractor("builtin").identity, **change)
    with pytest.raises(ModelError, match=message):
        extractor_for(identity)


def test_averaging_is_a_plain_mean_of_what_is_there() -> None:
    rows = np.array([[1, 2], [3, 6]], np.float32)
    audio, visual = create_extractor("builtin").average(ClipFeatures(None, rows, 1.0))
    assert audio is None and visual is not None and visual.tolist() == [2, 4] and visual.dtype == np.float32


def test_an_extractor_travels_to_child_processes() -> None:
    extractor = create_extractor("builtin", size=48)
    assert pickle.loads(pickle.dumps(extractor)).identity == extractor.identity


def test_every_extractor_has_settings_with_defaults_and_an_identity() -> None:
    for name in EXTRACTORS:
        extractor = create_extractor(name)
        assert extractor.identity.name == name == extractor.name
        assert extractor.audio_step > 0 and extractor.visual_step > 0
        assert Path(EXTRACTORS.get(name).__module__.replace(".", "/")).parent.name == "features"
