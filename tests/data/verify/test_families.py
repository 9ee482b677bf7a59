"""Which folders are meant: swapped families, missing families, pickles, and the record of an extraction."""

from __future__ import annotations

import json
import pickle
import shutil
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from avzsl.data.splits import load_benchmark
from avzsl.data.verify import verify_benchmark


def _kinds(root: Path, severity: str, **options: Any) -> dict[str, str]:
    return {f.kind: f.where for f in verify_benchmark(root, **options).of(severity)}


def test_no_features_at_all_are_an_error(folder: Path, expect: Any) -> None:
    vectors = folder / "features/main_features/text"
    shutil.move(vectors, folder.parent / "word-vectors")
    shutil.rmtree(folder / "features")
    expect(
        folder, "error", "missing-features", "features/main_features", "there are no features of family 'main'",
        "make features from videos with 'avzsl extract'", also=["misplaced-vectors"],
    )  # fmt: skip


def test_a_family_that_is_not_there_is_an_error_only_when_asked_for(folder: Path, expect: Any) -> None:
    shutil.copytree(folder / "class-split/main_split", folder / "class-split/cls_split")
    where = "features/cls_features"
    note = expect(folder, "note", "missing-features", where)
    assert note.family == "cls"
    expect(folder, "error", "missing-features", where, also=["word-vectors"], family="cls")


def test_another_family_by_main_split_is_no_missing_main(folder: Path) -> None:
    (folder / "features/main_features").rename(folder / "features/mine_features")
    found = verify_benchmark(folder)
    assert [facts.family for facts in found.families] == ["mine"]
    assert not found.of("error") and not found.of("warning")


@pytest.mark.parametrize("family", ["main", "cls"])
def test_a_published_folder_is_clean_but_for_its_size(family: str, publish: Any) -> None:
    sizes = {"main": (512, 512), "cls": (128, 4096)}[family]
    root = publish("UCF", family, sizes=sizes)
    found = verify_benchmark(root)
    assert not found.of("error")
    # The fixture draws the same rows for names that are anagrams.
    warned = {"not-as-published", "missing-clips", "unlisted-clips", "same-features"}
    assert {f.kind for f in found.of("warning")} == warned
    facts = {facts.family: facts for facts in found.families}[family]
    assert facts.published is False and facts.averaged is not None
    assert facts.averaged["fingerprint"] == load_benchmark(root).fingerprint
    extra = [f.what for f in found.findings if f.kind == "extra-class"]
    assert len(extra) == (1 if family == "cls" else 0)
    if extra:
        assert "holds 3 classes that stage_2_test_unseen.txt does not list: 'BandMarching'" in extra[0]


def test_a_swapped_folder_alone_is_read_as_what_it_holds(publish: Any) -> None:
    root = publish("UCF", "main", sizes=(128, 4096))
    found = verify_benchmark(root)
    (finding,) = (f for f in found.findings if f.kind == "swapped-families")
    assert (finding.severity, finding.where) == ("warning", "features/main_features")
    assert "holds 128/4096 columns, the sizes of family 'cls'; it is read as that (P16)" in finding.what
    assert [facts.family for facts in found.families] == ["cls"]
    with pytest.warns(UserWarning, match="it is read as that"):
        assert found.families[0].averaged["fingerprint"] == load_benchmark(root).fingerprint


def test_a_swapped_folder_that_is_asked_for_is_an_error(publish: Any) -> None:
    root = publish("UCF", "main", sizes=(128, 4096))
    assert _kinds(root, "error", family="main") == {"swapped-families": "features/main_features"}


def test_swapped_folders_are_each_told(publish: Any) -> None:
    publish("UCF", "main", folder="cls_features", sizes=(512, 512))
    root = publish("UCF", "cls", folder="main_features", sizes=(128, 4096))
    found = verify_benchmark(root)
    told = [(f.family, f.where) for f in found.of("warning") if f.kind == "swapped-families"]
    assert told == [("main", "features/main_features"), ("cls", "features/cls_features")]
    assert not found.of("error")
    for facts in found.families:
        with pytest.warns(UserWarning, match="is read from"):
            fingerprint = load_benchmark(root, family=facts.family).fingerprint
        assert facts.averaged is not None and facts.averaged["fingerprint"] == fingerprint


def test_other_columns_than_published_are_a_warning(publish: Any) -> None:
    root = publish("UCF", "main", sizes=(3, 4))
    (finding,) = (f for f in verify_benchmark(root).findings if "columns" in f.what and f.kind == "not-as-published")
    assert (finding.severity, finding.where) == ("warning", "features/main_features")
    assert finding.what == "has 3/4 columns, the published features of 'main' 512/512"


def test_pickles_are_read_only_with_trust(tiny_copy: Path) -> None:
    base = tiny_copy / "features/main_features_non_averaged"
    for path in base.rglob("*.h5"):
        with h5py.File(path) as file:
            data, offsets = file["data"][()], file["offsets"][()]
            names = [bytes(name) for name in file["video_urls"][()]]
        with path.with_suffix(".pkl").open("wb") as out:
            pickle.dump({"features": np.split(data, offsets[1:-1]), "video_names": names}, out)
        path.unlink()
    found = verify_benchmark(tiny_copy)
    (finding,) = found.of("warning")
    assert (finding.kind, finding.where) == ("pickles", "features/main_features_non_averaged")
    assert finding.what == "54 files are pickles; they were not read"
    assert "give --trust" in finding.mend
    assert found.families[0].temporal is None
    trusted = verify_benchmark(tiny_copy, trust=True)
    assert not trusted.of("warning")
    expected = load_benchmark(tiny_copy, temporal=True, trust=True).fingerprint
    assert trusted.families[0].temporal is not None and trusted.families[0].temporal["fingerprint"] == expected


def test_a_temporal_file_without_offsets_is_an_error(tiny_copy: Path) -> None:
    path = tiny_copy / "features/main_features_non_averaged/audio/stage_1_train/harp.h5"
    with h5py.File(path, "r+") as file:
        del file["offsets"]
    errors = _kinds(tiny_copy, "error")
    assert errors == {"damaged-file": "features/main_features_non_averaged/audio/stage_1_train/harp.h5"}
    facts = verify_benchmark(tiny_copy).families[0]
    assert facts.temporal["fingerprint"] is None and facts.averaged["fingerprint"] is not None


def _record(folder: Path, **changes: Any) -> None:
    record = {
        "family": "main", "text_encoder": "toy-text", "simulated": False,
        "extractor": {"name": "toy-extractor", "profile": "clean", "settings": {"rate": 2}, "version": 1},
    }  # fmt: skip
    (folder / "extract.json").write_text(json.dumps(record | changes))


@pytest.mark.parametrize("simulated", [True, False])
def test_the_record_says_whether_clips_are_generated(simulated: bool, folder: Path) -> None:
    assert verify_benchmark(folder).simulated is None
    _record(folder, simulated=simulated)
    found = verify_benchmark(folder)
    assert found.simulated is simulated
    assert not found.of("error") and not found.of("warning")


def test_drawn_features_say_so_themselves(folder: Path) -> None:
    identity = json.dumps({"name": "simulated", "profile": "clean", "settings": {}, "version": 1})
    for path in (folder / "features").rglob("*.h5"):
        with h5py.File(path, "r+") as file:
            file.attrs["extractor"] = identity
    assert verify_benchmark(folder).simulated is True


def test_a_record_of_another_extractor_is_a_warning(folder: Path, expect: Any) -> None:
    _record(folder, extractor={"name": "builtin"})
    expect(folder, "warning", "record", "extract.json", "names another extractor than the feature files")


def test_a_record_of_another_text_encoder_is_a_warning(folder: Path, expect: Any) -> None:
    _record(folder, text_encoder="minilm")
    expect(folder, "warning", "record", "extract.json", "text encoder 'minilm', the word vectors 'toy-text'")


def test_a_damaged_record_is_an_error(folder: Path, expect: Any) -> None:
    (folder / "extract.json").write_text("{")
    expect(folder, "error", "record", "extract.json", "is not valid JSON", refused=False)


def test_a_record_that_is_none_is_a_warning(folder: Path, expect: Any) -> None:
    (folder / "extract.json").write_text("[]")
    expect(folder, "warning", "record", "extract.json", "is not what an extraction writes")
