"""Records of the figures: what they show must follow from stored scores, names and models, by hand or by a loop."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from avzsl.evaluation.metrics import evaluate_scores, exact_best_bias
from avzsl.experiments.evidence import Evidence
from avzsl.experiments.reproduce.bias import curve_of
from avzsl.experiments.reproduce.chosen import choose_family, choose_queries, words
from avzsl.experiments.reproduce.context import Request
from avzsl.experiments.reproduce.names import correlations_of, nearest_seen
from avzsl.experiments.reproduce.rank import _fusion_flops, shares
from avzsl.experiments.reproduce.retrieval import mean_precision, nearest
from avzsl.experiments.reproduce.run import run_reproduction
from avzsl.methods._profile import count_flops
from avzsl.nn.tucker import TuckerFusion
from avzsl.report.reproduce import write_items

FIGURES = ("fig4", "fig5", "architecture", "rank", "bias", "names")


def evidence(seed: int = 0, classes: int = 6, clips: int = 40, seen: int = 4, bias: float = 0.4) -> Evidence:
    draw = torch.Generator().manual_seed(seed)
    labels = torch.arange(clips) % classes
    scores = torch.randn(clips, classes, generator=draw)
    scores[torch.arange(clips), labels] += 1.0
    return Evidence(
        scores, labels, torch.arange(classes) < seen, tuple(f"class {c}" for c in range(classes)),
        tuple(f"clip {c:02d}" for c in range(clips)), bias,
    )  # fmt: skip


def test_words_of_class_names() -> None:
    assert words("BasketballDunk") == ("basketball", "dunk")
    assert words("green ball sliding to slow_low flutes") == ("green", "ball", "sliding", "slow", "low", "flutes")


def test_the_paper_s_classes_are_taken_where_they_are_there() -> None:
    names = ["Archery", "BasketballDunk", "CricketShot", "PlayingCello", "PlayingFlute", "SoccerPenalty", "Typing"]
    chosen = choose_family(names, [True] * 7)
    assert [(c.name, c.parent) for c in chosen] == [
        ("BasketballDunk", "Sports"), ("CricketShot", "Sports"), ("SoccerPenalty", "Sports"),
        ("PlayingCello", "Instrument"), ("PlayingFlute", "Instrument"),
    ]  # fmt: skip
    assert all(names[c.column] == c.name for c in chosen)


def test_other_classes_are_chosen_by_shared_words_unseen_ones_first() -> None:
    names = ["red fox", "red owl", "red hen", "red cat", "blue fox", "blue owl", "pig", "cow", "emu"]
    seen = [True, True, False, False, False, True, True, True, True]
    chosen = choose_family(names, seen)
    assert [(c.name, c.parent) for c in chosen] == [
        ("red cat", "red"), ("red hen", "red"), ("red fox", "red"), ("blue fox", "blue"), ("blue owl", "blue"),
    ]  # fmt: skip
    assert choose_family(names, seen) == chosen
    nothing = choose_family(["pig", "cow", "emu", "fox", "owl", "hen"], [True, False, True, False, False, False])
    assert [(c.name, c.parent) for c in nothing] == [(n, "") for n in ("cow", "fox", "hen", "owl", "emu")]


def test_the_second_parent_has_no_class_of_the_first() -> None:
    names = ["red a1x", "red b1x", "red c1x", "blue d1x", "blue e1x", "green f1x", "grey g1x", "pink h1x"]
    chosen = choose_family(names, [False] * 8)
    assert [c.parent for c in chosen] == ["red"] * 3 + ["blue"] * 2
    assert len({c.column for c in chosen}) == 5


def test_queries_are_two_seen_and_two_unseen_classes_by_name_alone() -> None:
    names = [f"class {i:02d}" for i in range(20)]
    seen = [i < 12 for i in range(20)]
    assert choose_queries(names, seen) == [3, 9, 14, 18]
    assert choose_queries(["CricketShot", "Archery", "BoxingPunchingBag", "Typing"], [True, True, False, False]) == [
        1, 0, 2, 3,
    ]  # fmt: skip


def test_nearest_videos_come_in_the_order_of_their_scores() -> None:
    given = evidence(clips=6, classes=3, seen=2)
    given.scores[:, 1] = torch.tensor([0.3, 2.0, -1.0, 0.3, 5.0, 0.1])
    found = nearest(given, 1, 4)
    assert [entry["clip"] for entry in found] == ["clip 04", "clip 01", "clip 00", "clip 03"]  # equal: by name
    assert [entry["right"] for entry in found] == [True, True, False, False]
    assert [entry["class"] for entry in found] == ["class 1", "class 1", "class 0", "class 0"]


def test_precision_is_a_loop_over_classes() -> None:
    given = evidence(seed=3, clips=16)
    found = mean_precision(given, 5)
    for part, flag in (("seen", True), ("unseen", False)):
        values = []
        for column in range(6):
            if bool(given.seen[column]) != flag:
                continue
            order = np.argsort(-given.scores[:, column].numpy(), kind="stable")[:5]
            there = int((given.labels == column).sum())
            values.append(sum(int(given.labels[row]) == column for row in order) / min(5, there))
        assert found[part] == pytest.approx(100 * np.mean(values), abs=1e-3)


@pytest.mark.parametrize("seed", range(6))
def test_the_curve_s_maximum_is_what_the_exact_search_finds(seed: int) -> None:
    given = evidence(seed, bias=0.1 * seed)
    found = curve_of(given)
    bias, hm = exact_best_bias(given.scores, given.labels, given.seen)
    assert max(found["curve"]["hm"]) == pytest.approx(100 * hm, abs=1e-4)
    assert found["marks"]["best"] == pytest.approx({"bias": bias, "hm": 100 * hm, **_parts(given, bias)}, abs=1e-4)
    chosen = found["marks"]["chosen"]
    assert chosen["bias"] == given.bias
    assert {k: chosen[k] for k in ("seen", "unseen")} == pytest.approx(_parts(given, given.bias), abs=1e-4)
    place = found["curve"]["bias"].index(given.bias)
    assert found["curve"]["hm"][place] == pytest.approx(chosen["hm"], abs=1e-4)
    assert min(found["curve"]["bias"]) < min(0, bias, given.bias) and 0.0 in found["curve"]["bias"]


def _parts(given: Evidence, bias: float) -> dict[str, float]:
    found = evaluate_scores(given.scores, given.labels, given.seen, bias)
    return {"seen": 100 * found.seen, "unseen": 100 * found.unseen}


def test_similarity_to_the_nearest_seen_name_is_a_loop() -> None:
    draw = torch.Generator().manual_seed(0)
    vectors, seen = torch.randn(9, 5, generator=draw), torch.arange(9) < 5
    values, places = nearest_seen(vectors, seen)
    for c in range(9):
        others = {
            o: float(torch.nn.functional.cosine_similarity(vectors[c], vectors[o], dim=0))
            for o in range(9) if bool(seen[o]) and o != c
        }  # fmt: skip
        assert int(places[c]) == max(others, key=others.__getitem__)
        assert float(values[c]) == pytest.approx(max(others.values()), abs=1e-6)


def test_correlations_take_seen_and_unseen_classes_apart() -> None:
    classes = [
        {"seen": i < 5, "similarity": i / 10, "recall": float(i), "zsl_recall": None if i < 5 else float(-i)}
        for i in range(10)
    ]
    found = correlations_of(classes)
    assert {key: (c["value"], c["classes"]) for key, c in found.items()} == {
        "unseen": (1.0, 5), "zsl": (-1.0, 5), "seen": (1.0, 5),
    }  # fmt: skip
    assert correlations_of(classes[:2]) == {}


@pytest.mark.parametrize("rank", [1, 3, 7])
def test_the_closed_form_of_the_fusion_is_what_is_counted(rank: int) -> None:
    fusion = TuckerFusion(20, 24, 12, 7)
    parent = torch.nn.ModuleDict({"fusion": fusion})
    rows = torch.randn(1, 20), torch.randn(1, 24)
    counted, _ = count_flops(parent, lambda: parent["fusion"](*rows, rank))
    assert counted["fusion"] == _fusion_flops(fusion, rank)


def test_shares_of_a_rank() -> None:
    assert shares(16, (1 / 16, 1 / 4, 1.0)) == [1, 4, 16]
    assert shares(3, (1 / 16, 1 / 8, 1 / 2, 1.0)) == [1, 2, 3]


def frames_of(clip: str) -> Any:
    return None if "apple" in clip else np.full((4, 16, 24, 3), 90, dtype=np.uint8)


@pytest.mark.slow
def test_all_figures_are_worked_out_and_written(request_for: Callable[..., Request], tmp_path: Path) -> None:
    out = tmp_path / "out"
    given = replace(request_for(*FIGURES), frames_of=frames_of)
    record = run_reproduction(given, out)
    assert record["failed"] == [] and record["refused"] == {}
    written = {path.name for path in write_items(out, record["items"])}
    records = {entry["item"]: entry for entry in record["records"]}
    for item in FIGURES:
        assert {f"{item}.html", f"{item}.md"} <= written
        for path in (out / item).glob("*.png"):
            assert path.read_bytes().startswith(b"\x89PNG")
        assert "<svg" in (out / item / f"{item}.html").read_text()
    (rank,) = records["rank"]["panels"]
    assert [(row["kind"], row["rank"]) for row in rank["rows"] if row["kind"] != "clip"] == [
        ("served", 1), ("served", 2), ("served", 3), ("trained", 3),
    ]  # fmt: skip
    by_kind = {(row["kind"], row["rank"]): row for row in rank["rows"]}
    clip = next(row for row in rank["rows"] if row["kind"] == "clip")
    assert clip["operations"]["judging"] > 0 and 1 <= clip["rank"] <= 3
    fusions = [by_kind["served", r]["operations"]["fusion"] for r in (1, 2, 3)]
    assert fusions == sorted(set(fusions)) and by_kind["trained", 3]["operations"]["fusion"] == fusions[-1]
    assert fusions[0] <= clip["operations"]["own_fusion"] <= fusions[-1]
    (names,) = records["names"]["panels"]
    assert {c["name"]: c["seen"] for c in names["classes"]}["goat"] is False and len(names["classes"]) == 8
    (shown,) = records["fig5"]["panels"]
    assert set(shown["methods"]) == {"mdft", "stft"} and len(shown["queries"]) == 4
    assert shown["thumbnails"] and not any("apple" in clip for clip in shown["thumbnails"])
    assert all((out / "fig5" / file).is_file() for file in shown["thumbnails"].values())
    architecture = records["architecture"]["panels"]
    assert [panel["inputs"] for panel in architecture] == [
        "512 audio, 512 visual, 300 text columns", "5 audio, 7 visual, 6 text columns",
    ]  # fmt: skip
    assert architecture[1]["settings"]["hidden"] == 16
