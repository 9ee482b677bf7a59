"""Finding the dataset folder and the feature family."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from avzsl.data.family import find_dataset
from avzsl.data.splits import load_benchmark
from avzsl.errors import DataError

Publish = Callable[..., Path]
MAIN, CLS = (512, 512), (128, 4096)


def test_the_parent_of_exactly_one_dataset_is_enough(tiny_copy: Path) -> None:
    assert find_dataset(tiny_copy).root == tiny_copy
    assert find_dataset(tiny_copy.parent).root == tiny_copy
    assert load_benchmark(str(tiny_copy.parent)).name == "Tiny"


def test_several_none_and_missing_folders_are_told_apart(tiny_copy: Path, tmp_path: Path) -> None:
    shutil.copytree(tiny_copy / "class-split", tmp_path / "Other" / "class-split")
    with pytest.raises(DataError, match=r"several benchmarks; give one of: .*Other.*, .*Tiny"):
        find_dataset(tmp_path)
    with pytest.raises(DataError, match="no benchmark folder"):
        find_dataset(tiny_copy / "features")
    with pytest.raises(DataError, match="there is no folder"):
        find_dataset(tmp_path / "nowhere")


def test_the_current_folder_has_a_name(tiny_copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tiny_copy)
    assert load_benchmark(".").name == "Tiny"


def test_a_renamed_folder_keeps_its_stem(tiny_copy: Path) -> None:
    moved = tiny_copy.rename(tiny_copy.parent / "my copy")
    assert find_dataset(moved).stem == "tiny"
    assert load_benchmark(moved).name == "my copy"


def test_the_underscore_spelling_is_read(tiny_copy: Path) -> None:
    (tiny_copy / "class-split").rename(tiny_copy / "class_split")
    assert len(load_benchmark(tiny_copy).classes.names) == 12


def test_an_own_family_is_found_when_it_is_the_only_one(tiny_copy: Path) -> None:
    features = tiny_copy / "features"
    (features / "main_features").rename(features / "own_features")
    (features / "main_features_non_averaged").rename(features / "own_features_no_averaged")
    assert load_benchmark(tiny_copy).family == "own"
    assert load_benchmark(tiny_copy, temporal=True).family == "own"
    (features / "third_features").mkdir()
    with pytest.raises(DataError, match="several feature families; choose one of: own, third"):
        load_benchmark(tiny_copy)
    assert load_benchmark(tiny_copy, family="own").family == "own"
    with pytest.raises(DataError, match=r"no folder .*cls_features .*there is: own_features, third_features"):
        load_benchmark(tiny_copy, family="cls")


def test_main_is_preferred_and_only_families_of_the_asked_kind_count(tiny_copy: Path) -> None:
    features = tiny_copy / "features"
    shutil.copytree(features / "main_features", features / "own_features")
    assert load_benchmark(tiny_copy).family == "main"
    (features / "main_features").rename(features / "gone")
    assert load_benchmark(tiny_copy).family == "own"
    (features / "gone" / "text").rename(features / "main_features_non_averaged" / "text")
    assert load_benchmark(tiny_copy, temporal=True).family == "main"


def test_p16_a_swapped_folder_is_read_as_what_it_holds(publish: Publish) -> None:
    root = publish("UCF", folder="main_features", sizes=CLS)
    with pytest.warns(UserWarning, match="the sizes of family 'cls'; it is read as that"):
        benchmark = load_benchmark(root)
    assert benchmark.family == "cls"
    assert len(benchmark.evaluation(2).class_names) == 48
    with pytest.warns(UserWarning, match="family 'cls' is read from main_features"):
        again = load_benchmark(root, family="cls")  # what a run on it records, and `avzsl evaluate` asks for
    assert again.fingerprint == benchmark.fingerprint and again.family == "cls"
    with pytest.raises(DataError, match="ask for family 'cls' or put"):
        load_benchmark(root, family="main")


def test_p16_two_swapped_folders_are_swapped_back(publish: Publish) -> None:
    publish("UCF", folder="main_features", sizes=CLS)
    root = publish("UCF", folder="cls_features", sizes=MAIN)
    for family, sizes, candidates in (("main", MAIN, 51), ("cls", CLS, 48)):
        with pytest.warns(UserWarning, match=f"family '{family}' is read from"):
            benchmark = load_benchmark(root, family=family)
        assert (benchmark.dimensions.audio, benchmark.dimensions.visual) == sizes
        assert (benchmark.family, len(benchmark.evaluation(2).class_names)) == (family, candidates)
