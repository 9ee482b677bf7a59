"""Looks and sounds cross in every part, so that neither alone tells the classes apart."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from avzsl.errors import SettingError
from avzsl.world.scenes import (
    COLOURS,
    LARGEST,
    MOTIONS,
    OBJECTS,
    PARTS,
    PITCHES,
    RHYTHMS,
    SMALLEST,
    TIMBRES,
    Look,
    SceneClass,
    Sound,
    choose_classes,
    part_sizes,
)

SIZES = [*range(SMALLEST, 31), 40, 57, 100, 199, LARGEST]


def _choose(classes: int, seed: int = 0) -> tuple[SceneClass, ...]:
    return choose_classes(classes, np.random.default_rng(seed))


def test_the_name_is_an_english_phrase_with_every_attribute() -> None:
    scene = SceneClass(Look("red", "ball", "bouncing"), Sound("slow", "low", "bells"), "train")
    assert scene.name == "red ball bouncing to slow low bells"
    for scene in _choose(LARGEST):
        words = scene.name.split(" ")
        assert set(scene.attributes().values()) == set(words) - {"to"} and len(words) == 7
        assert scene.name.replace(" ", "").isalpha()


@pytest.mark.parametrize("classes", SIZES)
@pytest.mark.parametrize("seed", [0, 1])
def test_any_size_gives_that_many_different_classes_in_three_parts(classes: int, seed: int) -> None:
    chosen = _choose(classes, seed)
    assert len(chosen) == classes == len({c.name for c in chosen}) == len({(c.look, c.sound) for c in chosen})
    assert Counter(c.part for c in chosen) == part_sizes(classes)


def test_the_default_is_24_8_8() -> None:
    assert part_sizes(40) == {"train": 24, "val": 8, "unseen": 8}


@pytest.mark.parametrize("classes", SIZES)
def test_every_value_of_an_unseen_class_occurs_in_several_training_classes(classes: int) -> None:
    for seed in range(3):
        chosen = _choose(classes, seed)
        train = Counter(pair for c in chosen if c.part == "train" for pair in c.attributes().items())
        fewest = min(train[pair] for c in chosen if c.part != "train" for pair in c.attributes().items())
        assert fewest >= (2 if classes < 16 else 4)


def _best_share(chosen: list[SceneClass], attribute: str) -> float:
    """Mean class recall of a perfect judge who perceives one modality: one of each group of look-alikes."""
    return len({getattr(c, attribute) for c in chosen}) / len(chosen)


@pytest.mark.parametrize("classes", SIZES)
def test_one_modality_alone_is_right_half_of_the_time_at_best_on_unseen_classes(classes: int) -> None:
    for seed in range(3):
        chosen = _choose(classes, seed)
        for part in ("val", "unseen"):
            members = [c for c in chosen if c.part == part]
            assert _best_share(members, "look") == 0.5
            # Two classes, as in the smallest worlds, can share a look or a sound, not both.
            assert _best_share(members, "sound") == (0.5 if len(members) > 2 else 1.0)
        assert _best_share(list(chosen), "look") <= 0.6 and _best_share(list(chosen), "sound") <= 0.6


@pytest.mark.parametrize("classes", [40, 100, LARGEST])
def test_half_of_the_unseen_looks_and_sounds_are_known_from_other_company(classes: int) -> None:
    chosen = _choose(classes)
    for attribute in ("look", "sound"):
        known = {getattr(c, attribute) for c in chosen if c.part == "train"}
        for part in ("val", "unseen"):
            there = {getattr(c, attribute) for c in chosen if c.part == part}
            assert 0 < len(there & known) <= len(there) / 2


def test_the_seed_decides() -> None:
    assert _choose(40, 3) == _choose(40, 3)
    assert _choose(40, 3) != _choose(40, 4)


@pytest.mark.parametrize("classes", [0, -5, SMALLEST - 1, LARGEST + 1])
def test_other_sizes_are_refused(classes: int) -> None:
    with pytest.raises(SettingError, match="10 to 200 classes"):
        _choose(classes)


def test_large_worlds_use_every_value() -> None:
    used = {v for c in _choose(LARGEST) for v in c.attributes().values()}
    assert used == {*COLOURS, *OBJECTS, *MOTIONS, *RHYTHMS, *PITCHES, *TIMBRES}
    assert {c.part for c in _choose(LARGEST)} == set(PARTS)
