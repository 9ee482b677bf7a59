"""Pairing runs, and refusing those that cannot be paired."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from avzsl.errors import DataError, ModelError
from avzsl.experiments.compare import compare_runs
from avzsl.experiments.evidence import read_evidence
from avzsl.experiments.finished import read_run


def test_the_difference_is_that_of_the_stored_results(store_run: Any) -> None:
    first, second = store_run("a", skill=2.5), store_run("b", skill=0.8, draw=5)
    record = compare_runs(first, second, draws=200)
    for score in ("seen", "unseen", "hm", "zsl"):
        found = record["differences"][score]
        stored = [getattr(read_run(place).result, score) for place in (first, second)]
        assert [found["first"], found["second"]] == pytest.approx(stored, abs=1e-4)
        assert found["difference"] == pytest.approx(stored[0] - stored[1], abs=1e-4)
        assert found["low"] <= found["difference"] <= found["high"]
    assert record["differences"]["hm"]["p_value"] < 0.05
    assert record["clips"] == 72 and (record["seen_classes"], record["unseen_classes"]) == (8, 4)
    assert any("one run of each" in note for note in record["notes"])


def test_the_same_seed_gives_the_same_record(store_run: Any) -> None:
    places = store_run("a"), store_run("b", draw=7)
    assert compare_runs(*places, draws=50) == compare_runs(*places, draws=50)
    other = compare_runs(*places, draws=50, seed=1)["differences"]["hm"]
    assert other["low"] != compare_runs(*places, draws=50)["differences"]["hm"]["low"]


def test_seeds_are_paired_one_by_one_whatever_the_folders_are_called(store_run: Any, tmp_path: Path) -> None:
    for seed, name in ((0, "z"), (1, "y")):
        store_run(f"one/{name}", seed=seed, draw=seed, skill=1.5)
    for seed, name in ((0, "a"), (1, "b")):
        store_run(f"two/{name}", method="eszsl", seed=seed, draw=seed, skill=1.5)
    record = compare_runs(tmp_path / "one", tmp_path / "two", draws=50)
    assert record["first"]["seeds"] == record["second"]["seeds"] == [0, 1]
    # Run by run the two sides drew the same scores, so nothing may differ anywhere.
    for difference in record["differences"].values():
        assert (difference["low"], difference["high"], difference["p_value"]) == (0, 0, 1)


def test_clips_in_another_order_are_the_same_clips(store_run: Any) -> None:
    first, second = store_run("a", skill=1.5), store_run("b", skill=1.5)
    tensors, names = load_file(second / "evaluation.safetensors"), json.loads((second / "evaluation.json").read_text())
    rows = torch.randperm(len(tensors["labels"]), generator=torch.Generator().manual_seed(1))
    columns = torch.randperm(len(tensors["seen"]), generator=torch.Generator().manual_seed(2))
    place = columns.argsort()
    changed = {
        "scores": tensors["scores"][rows][:, columns].contiguous(), "labels": place[tensors["labels"][rows]],
        "seen": tensors["seen"][columns],
    }  # fmt: skip
    save_file(changed, second / "evaluation.safetensors")
    names["clip_names"] = [names["clip_names"][i] for i in rows]
    names["class_names"] = [names["class_names"][i] for i in columns]
    (second / "evaluation.json").write_text(json.dumps(names))
    record = compare_runs(first, second, draws=20)
    assert all(d["wins"] == d["losses"] == 0 and d["p_value"] == 1 for d in record["differences"].values())


def test_runs_on_other_clips_are_refused_with_the_clips(store_run: Any) -> None:
    names = [f"clip {i:03d}" for i in range(72)]
    first, second = store_run("a"), store_run("b", clips=[*names[:70], "fox", "owl"])
    with pytest.raises(DataError) as caught:
        compare_runs(first, second)
    assert "2 only in the first (such as clip 070, clip 071) and 2 only in the second (such as fox, owl)" in str(
        caught.value
    )


def test_other_seen_classes_are_refused(store_run: Any) -> None:
    first, second = store_run("a"), store_run("b")
    tensors = load_file(second / "evaluation.safetensors")
    tensors["seen"] = tensors["seen"].roll(1)
    save_file(tensors, second / "evaluation.safetensors")
    numbers = json.loads((second / "result.json").read_text())
    from avzsl.evaluation.metrics import evaluate_scores

    again = evaluate_scores(tensors["scores"], tensors["labels"], tensors["seen"], 0.3)
    numbers |= {name: 100 * getattr(again, name) for name in ("seen", "unseen", "hm", "zsl")}
    (second / "result.json").write_text(json.dumps(numbers))
    with pytest.raises(DataError, match="same seen and unseen classes"):
        compare_runs(first, second)


def test_a_folder_of_several_methods_is_refused(store_run: Any, tmp_path: Path) -> None:
    store_run("all/a")
    store_run("all/b", method="eszsl")
    store_run("one")
    with pytest.raises(DataError, match="runs of different settings"):
        compare_runs(tmp_path / "all", tmp_path / "one")


def test_numbers_of_seeds_must_agree(store_run: Any, tmp_path: Path) -> None:
    store_run("one/0"), store_run("one/1", seed=1), store_run("two/0")
    with pytest.raises(DataError, match=r"2 run\(s\) cannot be paired with 1"):
        compare_runs(tmp_path / "one", tmp_path / "two")


def test_what_else_differs_is_told(store_run: Any) -> None:
    other = {"train": {"epochs": 9}}
    first, second = store_run("a"), store_run("b", seed=4, draw=1, settings=other, mode="reference")
    notes = compare_runs(first, second, draws=20)["notes"]
    assert any("mode differs: clean and reference" in note for note in notes)
    assert any("settings that differ: epochs=3 and epochs=9" in note for note in notes)
    assert any("the seeds differ" in note for note in notes)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"hm": 99.0}, "says hm 99.00, its scores give"),
        ({"evaluated": "0" * 16}, "about other clips"),
    ],
)
def test_numbers_that_do_not_follow_from_the_scores_are_refused(
    store_run: Any, change: dict[str, Any], message: str
) -> None:
    place = store_run("a", **change)
    with pytest.raises(ModelError, match=message):
        read_run(place)


def test_damaged_evidence_is_refused(store_run: Any) -> None:
    place = store_run("a")
    names = json.loads((place / "evaluation.json").read_text())
    (place / "evaluation.json").write_text(json.dumps(names | {"clip_names": names["clip_names"][1:]}))
    with pytest.raises(ModelError, match="do not fit together"):
        read_evidence(place)
    (place / "evaluation.safetensors").write_bytes(b"no tensors")
    with pytest.raises(ModelError, match="missing or damaged"):
        read_evidence(place)
