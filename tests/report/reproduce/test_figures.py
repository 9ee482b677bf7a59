"""Figures from records made by hand: what is drawn, in which order, and that the same record gives the same bytes."""

from __future__ import annotations

import csv
import io
import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from avzsl.report.architecture import box_lines, draw_architecture, lane_of, size_of, totals
from avzsl.report.drawing import PRINT, canvas, save_figure
from avzsl.report.reproduce.bias import draw_bias, write_bias
from avzsl.report.reproduce.names import write_names
from avzsl.report.reproduce.rank import fusion_of, total_of, write_rank
from avzsl.report.reproduce.retrieval import draw_retrieval, write_retrieval
from avzsl.report.reproduce.space import flat, read_vectors, silhouettes, write_space

HEAD = {
    "item": "x", "number": "Fig. 0", "caption": "Something", "quick": False, "seeds": [0],
    "contradictions": ["It does"],
}  # fmt: skip
PANEL = {
    "label": "Toy", "paper": "UCF", "facts": [["mode", "clean"]], "comparable": False, "reason": "", "method": "stft",
    "reasons": ["the data are simulated: the clips were made by a program"], "seed": 0,
}  # fmt: skip


def record(kind: str, **panel: Any) -> dict[str, Any]:
    return HEAD | {"kind": kind, "item": kind, "panels": [PANEL | panel]}


def texts(svg: Path) -> list[str]:
    """All texts of a drawing in the order in which they were drawn."""
    return ["".join(node.itertext()) for node in ElementTree.parse(svg).iter() if node.tag.endswith("}text")]


def check_files(folder: Path, name: str, paths: list[Path]) -> None:
    """PNG and SVG are there and name what is simulated; the page and the Markdown say it too."""
    assert {f"{name}.html", f"{name}.md", f"{name}.png", f"{name}.svg"} <= {path.name for path in paths}
    assert any("(simulated)" in text for text in texts(folder / f"{name}.svg"))
    page, plain = (folder / f"{name}.html").read_text(), (folder / f"{name}.md").read_text()
    for text in (page, plain):
        assert "No reproduction: the data are simulated" in text and "It does" in text
    assert "http" not in re.sub(r"http://www\.w3\.org\S*", "", page)


def query(name: str, seen: bool, rights: dict[str, str]) -> dict[str, Any]:
    found = {
        method: [
            {
                "clip": f"{method} {i}",
                "class": name if mark == "+" else f"not {name}",
                "right": mark == "+",
                "score": -i,
            }
            for i, mark in enumerate(marks)
        ]
        for method, marks in rights.items()
    }
    return {"name": name, "seen": seen, "clips": 7, "found": found}


@pytest.fixture
def retrieval() -> dict[str, Any]:
    return record(
        "retrieval", methods={"mdft": "MDFT", "stft": "STFT"}, shown=4, thumbnails={},
        precision={"mdft": {"seen": 50.0, "unseen": None}, "stft": {"seen": 75.0, "unseen": 25.0}},
        queries=[
            query("fox", True, {"mdft": "+-+-", "stft": "++++"}),
            query("owl", False, {"mdft": "----", "stft": "-+--"}),
        ],
    )  # fmt: skip


def test_right_and_wrong_videos_are_marked_in_their_order(retrieval: dict[str, Any], tmp_path: Path) -> None:
    paths = write_retrieval(retrieval, tmp_path)
    check_files(tmp_path, "retrieval", paths)
    drawn = texts(tmp_path / "retrieval.svg")
    assert (
        "".join(t for t in drawn if t in "\u2713\u2717") == "\u2713\u2717\u2713\u2717"
        "\u2713\u2713\u2713\u2713"
        "\u2717\u2717\u2717\u2717"
        "\u2717\u2713\u2717\u2717"
    )
    assert [t for t in drawn if t.endswith(" of 4")] == ["2 of 4", "4 of 4", "0 of 4", "1 of 4"]
    assert [t for t in drawn if t.startswith("Query")] == ["Query: fox", "Query: owl"]
    assert "seen class, 7 videos" in drawn and "unseen class, 7 videos" in drawn
    assert sum(t == "not fox" for t in drawn) == 2 and sum(t == "right" for t in drawn) == 7
    assert "--videos" in (tmp_path / "retrieval.html").read_text()
    rows = list(csv.reader(io.StringIO((tmp_path / "retrieval-found.csv").read_text())))
    assert rows[1] == ["fox", "MDFT", "1", "mdft 0", "fox", "yes"] and len(rows) == 17


def test_wrong_videos_have_dashed_frames(retrieval: dict[str, Any], tmp_path: Path) -> None:
    from matplotlib.patches import Rectangle

    with canvas(6, 6, PRINT) as figure:
        draw_retrieval(figure, retrieval["panels"][0], tmp_path, PRINT)
        frames = [p for p in figure.axes[0].patches if type(p) is Rectangle]
        assert len(frames) == 16
        dashed = [p.get_linestyle() not in ("-", "solid") for p in frames]
        assert dashed == [m == "-" for m in "+-+-++++-----+--"]


def test_thumbnails_are_drawn_inside_the_frames(retrieval: dict[str, Any], tmp_path: Path) -> None:
    from PIL import Image

    Image.new("RGB", (40, 20), (200, 30, 30)).save(tmp_path / "a.jpg")
    panel = retrieval["panels"][0] | {"thumbnails": {"mdft 0": "a.jpg", "stft 0": "missing.jpg"}}
    with canvas(6, 6, PRINT) as figure:
        draw_retrieval(figure, panel, tmp_path, PRINT)
        images = figure.axes[0].images
        assert len(images) == 2  # the first of both queries
        left, right, bottom, top = images[0].get_extent()
        assert (right - left) / (top - bottom) == pytest.approx(2.0)
        frame = figure.axes[0].patches[0]
        assert (frame.get_x(), frame.get_width()) == pytest.approx((left, right - left))


@pytest.fixture
def space(tmp_path: Path) -> dict[str, Any]:
    draw = np.random.default_rng(0)
    labels = np.repeat(np.arange(4), 9)
    centres = np.array([[0, 0], [0, 5], [40, 0], [40, 5]], dtype=float)
    clips = (centres[labels] + draw.normal(size=(36, 2))).astype(np.float32)
    noise = draw.normal(size=(36, 5)).astype(np.float32)
    tensors = {"labels": labels, "embeddings": clips, "stars": centres.astype(np.float32), "audio": noise}
    save_file(tensors, tmp_path / "Toy.safetensors")
    classes = [{"name": f"class {c}", "parent": "one" if c < 2 else "two", "seen": c % 2 == 0} for c in range(4)]
    return record("space", vectors="Toy.safetensors", classes=classes, clips=[f"clip {i}" for i in range(36)])


def test_the_same_seed_gives_the_same_map_and_stars_lie_with_their_clips(space: dict[str, Any], tmp_path: Path) -> None:
    vectors = read_vectors(tmp_path / "Toy.safetensors")
    clips, stars = flat(vectors, "embeddings")
    again, _ = flat(vectors, "embeddings")
    assert np.array_equal(clips, again) and stars is not None and stars.shape == (4, 2)
    assert flat(vectors, "audio")[1] is None
    for number in range(4):
        nearest = np.linalg.norm(clips - stars[number], axis=1).argsort()[:5]
        assert (vectors["labels"][nearest] == number).mean() >= 0.6


def test_silhouettes_tell_groups_from_noise(space: dict[str, Any], tmp_path: Path) -> None:
    vectors = read_vectors(tmp_path / "Toy.safetensors")
    found = dict(silhouettes(space["panels"][0], vectors, ["audio", "embeddings"]))
    assert found["embeddings"][1] > 0.8 > found["embeddings"][0] > 0.4
    assert abs(found["audio"][0]) < 0.2 and abs(found["audio"][1]) < 0.2


def test_the_map_names_classes_parents_and_numbers(space: dict[str, Any], tmp_path: Path) -> None:
    check_files(tmp_path, "space", write_space(space, tmp_path))
    drawn = texts(tmp_path / "space.svg")
    assert {"sound (input)", "joint space", "1 one: class 0", "2 one: class 1 (unseen)"} <= set(drawn)
    assert [t for t in drawn if t in "1234"] == ["1", "2", "3", "4"]
    first = (tmp_path / "space.png").read_bytes()
    write_space(space, tmp_path)
    assert (tmp_path / "space.png").read_bytes() == first


def bias_record() -> dict[str, Any]:
    def at(bias: float, hm: float) -> dict[str, float]:
        return {"bias": bias, "seen": 60.0, "unseen": 40.0, "hm": hm}

    runs = [
        {
            "seed": seed,
            "curve": {"bias": [-1.0, 0.0, 1.0, 2.0], "seen": [80.0, 70.0, 60.0, 50.0],
                      "unseen": [10.0, 20.0, 40.0, 45.0], "hm": [18.0, 31.0, 48.0, 47.0]},
            "marks": {"chosen": at(2.0, 47.0), "best": at(1.0, 48.0), "none": at(0.0, 31.0)},
        }
        for seed in (0, 1)
    ]  # fmt: skip
    return record("bias", runs=runs)


def test_the_chosen_point_stands_on_the_curve(tmp_path: Path) -> None:
    given = bias_record()
    check_files(tmp_path, "bias", write_bias(given, tmp_path))
    with canvas(8, 4, PRINT) as figure:
        draw_bias(figure, given["panels"][0], PRINT)
        stars = [line for axes in figure.axes for line in axes.lines if line.get_marker() == "*"]
        assert [(line.get_xdata()[0], line.get_ydata()[0]) for line in stars] == [(2.0, 47.0)] * 3
    assert "1.00 below the best" in (tmp_path / "bias.md").read_text()
    assert "16.00 above HM without any bias" in (tmp_path / "bias.md").read_text()


def test_correlations_stand_above_their_points(tmp_path: Path) -> None:
    classes = [
        {"name": f"c{i}", "seen": i < 3, "similarity": i / 10, "nearest": "c0", "recall": 10.0 * i,
         "zsl_recall": None if i < 3 else 50.0}
        for i in range(8)
    ]  # fmt: skip
    told = {"value": 0.5, "low": -0.1, "high": 0.9, "p_value": 0.04, "classes": 5}
    given = record("names", classes=classes, correlations={"unseen": told}, seeds_done=[0, 1], encoder="minilm")
    check_files(tmp_path, "names", write_names(given, tmp_path))
    drawn = texts(tmp_path / "names.svg")
    assert "ρ = +0.50 [-0.10, +0.90]" in drawn and drawn.count("too few classes") == 2
    rows = list(csv.reader(io.StringIO((tmp_path / "names-classes.csv").read_text())))
    assert rows[1] == ["c7", "unseen", "c0", "0.700", "70.0", "50.0"] and rows[-1][0] == "c0" and rows[-1][-1] == "–"


def rank_row(kind: str, rank: float, hm: float, **operations: float) -> dict[str, Any]:
    scores = {name: {"0": hm, "1": hm + 2} for name in ("seen", "unseen", "hm", "zsl")}
    return {"kind": kind, "rank": rank, "scores": scores, "operations": operations}


def test_ranks_by_clip_pay_for_finding_the_rank(tmp_path: Path) -> None:
    rows = [
        rank_row("served", 2, 10.0, fusion=100_000, whole=1_100_000),
        rank_row("served", 4, 30.0, fusion=400_000, whole=1_400_000),
        rank_row("clip", 3.0, 28.0, fusion=400_000, whole=1_650_000, judging=250_000, own_fusion=200_000),
        rank_row("trained", 4, 35.0, fusion=400_000, whole=1_400_000),
    ]
    assert [fusion_of(row) for row in rows] == [100_000, 400_000, 200_000, 400_000]
    assert [total_of(row) for row in rows] == [1_100_000, 1_400_000, 1_450_000, 1_400_000]
    used = {"0": {"mean": 3.0, "least": 1, "most": 4}}
    given = record("rank", rows=rows, used=used, largest=4)
    check_files(tmp_path, "rank", write_rank(given, tmp_path))
    said = (tmp_path / "rank.md").read_text()
    assert "1.12 times the operations of fusing at full rank: adapting costs more than it saves" in said
    assert "HM: 29.0 by clip, 31.0 at full rank" in said
    table = list(csv.reader(io.StringIO((tmp_path / "rank-ranks.csv").read_text())))
    assert table[3][1] == "3.0" and table[3][6:] == ["0.2000", "0.2500", "1.450"]
    assert table[1][4] == "11.0 ± 1.4"


def test_what_is_missing_is_said_and_nothing_is_drawn(tmp_path: Path) -> None:
    for write, given in (
        (write_space, record("space", reason="not run yet")),
        (write_retrieval, record("retrieval", reason="stft: not run yet")),
        (write_bias, record("bias", runs=[], reason="not run yet")),
        (write_rank, record("rank", rows=[], used={}, largest=4, reason="not run yet")),
        (write_names, record("names", reason="not run yet")),
    ):
        folder = tmp_path / given["item"]
        paths = write(given, folder)
        assert not any(path.suffix in (".png", ".svg") for path in paths)
        assert "not run yet" in (folder / f"{given['item']}.html").read_text()


def part(key: str, kind: str = "module", sources: tuple[str, ...] = (), **more: Any) -> dict[str, Any]:
    return {
        "key": key, "path": key, "kind": kind, "type": "Linear", "visit": 0, "inside": ("Linear 3→4", "ReLU"),
        "shape": "4", "parameters": 16, "inference": 24, "sources": sources,
    } | more  # fmt: skip


def test_the_model_s_boxes_carry_its_numbers(tmp_path: Path) -> None:
    parts = [
        part("audio", "input", shape="3"), part("visual", "input", shape="5"), part("ears", sources=("audio",)),
        part("eyes", sources=("visual",), parameters=123_456_7), part("both", sources=("ears", "eyes")),
        part("both (2)", sources=("both",), path="both", visit=1, parameters=0),
        part("loss pull", "loss", ("both (2)",), type="pull"),
    ]  # fmt: skip
    given = {
        "title": "Toy", "inputs": "3 audio", "parts": parts, "parameters": 4_000_000, "inference": 5_000_000,
        "training": 6_000_000_000, "pairs": 256,
    }  # fmt: skip
    assert box_lines(parts[2]) == [
        "ears",
        "Linear",
        "Linear 3→4 · ReLU",
        "16 parameters",
        "0.00 MFLOP per clip",
        "gives 4",
    ]
    assert box_lines(parts[3])[3] == "1.23 M parameters"
    assert box_lines(parts[5]) == ["both, used again", "Linear", "the same weights", "0.00 MFLOP per clip", "gives 4"]
    assert box_lines(parts[6]) == ["loss: pull"]
    assert totals(given).startswith(
        "4.00 M parameters (4,000,000) · one clip 5.00 MFLOP · training forward of 256 pairs 6.00"
    )
    assert lane_of(parts) == {
        "audio": "audio", "visual": "visual", "ears": "audio", "eyes": "visual", "both": "several",
        "both (2)": "several", "loss pull": "several",
    }  # fmt: skip
    with canvas(*size_of(given), PRINT) as figure:
        draw_architecture(figure, given, PRINT)
        paths = save_figure(figure, tmp_path / "model")
        boxes = [p.get_bbox().bounds for p in figure.axes[0].patches]
        for i, (x, y, w, h) in enumerate(boxes[: len(parts)]):
            for a, b, c, d in boxes[i + 1 : len(parts)]:
                assert x + w <= a + 1e-9 or a + c <= x + 1e-9 or y + h <= b + 1e-9 or b + d <= y + 1e-9
    drawn = texts(paths[1])
    assert {"ears", "both, used again", "loss: pull", "1.23 M parameters", "sound alone", "picture alone"} <= set(drawn)
    assert "text alone" not in drawn
