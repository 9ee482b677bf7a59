"""Paths are those the field distributes (docs/protocol.md section 2)."""

from __future__ import annotations

from pathlib import Path

import pytest

from avzsl.errors import SettingError
from avzsl.layout import SPLITS, STAGE_1_SPLITS, Layout, check_split, class_of_file


@pytest.mark.parametrize(
    ("folder", "names", "vectors"),
    [
        ("UCF", "ucf_w2v_class_names.csv", "word_embeddings_ucf_normed.npy"),
        ("ActivityNet", "activitynet_w2v_class_names.csv", "word_embeddings_activity_normed.npy"),
        ("VGGSound", "vggsound_w2v_class_names.csv", "word_embeddings_vggsound_normed.npy"),
        ("My Clips", "my_clips_w2v_class_names.csv", "word_embeddings_my_clips_normed.npy"),
    ],
)
def test_stems_follow_the_folder_name(folder: str, names: str, vectors: str) -> None:
    layout = Layout(Path("data") / folder)
    assert layout.name == folder
    assert layout.class_names_csv == Path("data") / folder / "class-split" / names
    assert layout.word_vectors == Path("data") / folder / "features" / "main_features" / "text" / vectors
    assert layout.word_vectors_safetensors.name == vectors.replace(".npy", ".safetensors")


def test_a_given_stem_wins_over_the_folder_name() -> None:
    assert Layout(Path("copy"), given_stem="activitynet").word_vectors.name == "word_embeddings_activity_normed.npy"


@pytest.mark.parametrize(
    ("family", "features", "split"),
    [
        ("main", "main_features", "main_split"),
        ("cls", "cls_features", "cls_split"),
        ("own", "own_features", "main_split"),
    ],
)
def test_families_choose_feature_and_split_folders(family: str, features: str, split: str) -> None:
    layout = Layout(Path("UCF"), family)
    assert layout.split_txt("stage_1_train") == Path("UCF/class-split") / split / "stage_1_train.txt"
    assert layout.split_csv("stage_2_train") == Path("UCF/class-split") / split / "stage_2_train.csv"
    file = layout.features_file("visual", "stage_2_test_seen", "bee, wasp, etc. buzzing")
    assert file == Path("UCF/features") / features / "video/stage_2_test_seen/bee, wasp, etc. buzzing.h5"
    temporal = layout.temporal_file("audio", "stage_1_train", "A")
    assert temporal == Path("UCF/features") / f"{features}_non_averaged" / "audio/stage_1_train/A.h5"


def test_only_the_last_ending_of_a_file_name_goes() -> None:
    assert class_of_file(Path("x/bee, wasp, etc. buzzing.h5")) == "bee, wasp, etc. buzzing"
    assert class_of_file(Path("x/Archery.pkl")) == "Archery"


def test_the_other_spellings_are_used_when_only_they_are_there(tmp_path: Path) -> None:
    layout = Layout(tmp_path / "UCF")
    assert layout.class_split_dir.name == "class-split"
    (tmp_path / "UCF" / "class_split").mkdir(parents=True)
    assert layout.class_split_dir.name == "class_split"
    (tmp_path / "UCF" / "class-split").mkdir()
    assert layout.class_split_dir.name == "class-split"
    (tmp_path / "UCF" / "features" / "main_features_no_averaged").mkdir(parents=True)
    assert layout.temporal_dir.name == "main_features_no_averaged"
    (tmp_path / "UCF" / "features" / "main_features_non_averaged").mkdir()
    assert layout.temporal_dir.name == "main_features_non_averaged"


def test_unknown_splits_are_refused_with_the_nearest_name() -> None:
    assert check_split("stage_1_train") == "stage_1_train"
    with pytest.raises(SettingError, match="did you mean 'stage_1_val_seen'"):
        Layout(Path("UCF")).split_txt("stage_1_valseen")


def test_stage_1_splits_are_the_first_three() -> None:
    assert STAGE_1_SPLITS == ("stage_1_train", "stage_1_val_seen", "stage_1_val_unseen")
    assert len(SPLITS) == len(set(SPLITS)) == 6
