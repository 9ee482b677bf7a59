"""The published sizes, typed a second time, and what is said where a folder differs from them."""

from __future__ import annotations

from pathlib import Path

import pytest

from avzsl.data.classes import read_lines, read_split_csv
from avzsl.data.verify import verify_benchmark
from avzsl.data.verify.findings import Findings
from avzsl.data.verify.published import PUBLISHED, compare
from avzsl.layout import SPLITS, Layout

VIDEOS = {"ucf": 6816, "activitynet": 20348, "vggsound": 93752}
CANDIDATES = {"ucf": (51, 48), "activitynet": (200, 198), "vggsound": (276, 271)}


@pytest.mark.parametrize("stem", PUBLISHED)
def test_the_sizes_agree_with_each_other(stem: str) -> None:
    for family, candidates in zip(("main", "cls"), CANDIDATES[stem], strict=True):
        classes, clips = PUBLISHED[stem].of(family)
        assert list(classes) == list(clips) == list(SPLITS)
        assert classes["stage_2_train"] == classes["stage_1_train"] + classes["stage_1_val_unseen"]
        assert clips["stage_2_train"] == sum(clips[split] for split in SPLITS[:3])
        assert classes["stage_2_train"] + classes["stage_2_test_unseen"] == candidates
        if family == "main":
            assert sum(clips[split] for split in SPLITS[3:]) == VIDEOS[stem]
    assert PUBLISHED[stem].names == {"ucf": 101, "activitynet": 200, "vggsound": 309}[stem]


@pytest.mark.parametrize("dataset", ["UCF", "ActivityNet", "VGGSound"])
@pytest.mark.parametrize("family", ["main", "cls"])
def test_the_sizes_are_those_of_the_published_files(dataset: str, family: str, avca: Path) -> None:
    layout = Layout(avca / dataset, family)
    classes, clips = PUBLISHED[layout.stem].of(family)
    for split in SPLITS:
        listed = {name.casefold() for name in read_lines(layout.split_txt(split))}
        assert len(listed) == classes[split]
        if layout.split_csv(split).is_file():
            rows = read_split_csv(layout.split_csv(split))
            assert sum(row["label"].casefold() in listed for row in rows) == clips[split]


def test_a_class_less_is_a_warning(avca: Path, tmp_path: Path) -> None:
    import shutil

    shutil.copytree(avca / "UCF", tmp_path / "UCF")
    path = tmp_path / "UCF/class-split/cls_split/stage_2_test_unseen.txt"
    names = read_lines(path)
    path.write_text("\n".join(names[1:]))
    found = verify_benchmark(tmp_path / "UCF", family="cls")
    (finding,) = (f for f in found.findings if f.kind == "not-as-published")
    assert (finding.severity, finding.where) == ("warning", ".")
    assert "stage_2_test_unseen 5 classes (published 6)" in finding.what
    assert "clips in its csv (published 845)" in finding.what
    assert found.families[0].published is False


def test_other_folders_are_not_compared(tmp_path: Path) -> None:
    findings = Findings(tmp_path)
    assert compare(Layout(tmp_path / "Mine"), 3, {}, {}, "", findings) is None
    assert compare(Layout(tmp_path / "UCF", "builtin"), 3, {}, {}, "", findings) is None
    assert not findings.found
    assert compare(Layout(tmp_path / "UCF"), 101, {"stage_1_train": 30}, {}, "", findings) is True
    assert not findings.found
    assert (
        compare(Layout(tmp_path / "UCF"), 100, {"stage_1_train": 29}, {"stage_1_train": 1}, "there", findings) is False
    )
    (finding,) = findings.found
    assert finding.what == (
        "this is not the published benchmark 'ucf': 100 names in all_class.txt (published 101), stage_1_train 29"
        " classes (published 30), stage_1_train 1 clips there (published 3174)"
    )
