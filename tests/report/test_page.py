from __future__ import annotations

import json
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from avzsl.errors import DataError, OutputError
from avzsl.report import write_report

MakeRun = Callable[..., Path]
VOID = {"meta", "link", "br", "img", "input", "hr", "path", "use", "stop", "image"}


class Balance(HTMLParser):
    """Collects text and addresses, and fails on a tag that is not closed in order."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.addresses: list[str] = []
        self.ids: list[str] = []
        self.text: list[str] = []
        self.images_without_text = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        self.addresses += [values[k] or "" for k in ("src", "href", "xlink:href", "srcset", "action") if k in values]
        self.ids += [values["id"] or ""] if "id" in values else []
        self.images_without_text += (tag == "img" and not values.get("alt")) + (
            tag == "svg" and not values.get("aria-label") and values.get("aria-hidden") != "true"
        )
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        if tag in VOID:
            return
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def parse(path: Path) -> Balance:
    page = Balance()
    page.feed(path.read_text(encoding="utf-8"))
    page.close()
    assert page.open == []
    return page


def text_of(page: Balance) -> str:
    return re.sub(r"\s+", " ", " ".join(page.text))


@pytest.mark.parametrize(("classes", "per_class"), [(5, 3), (50, 2), (300, 1)])
def test_a_whole_run_gives_one_well_formed_small_page(make_run: MakeRun, classes: int, per_class: int) -> None:
    run = make_run(classes, per_class)
    path = write_report(run)
    assert path == run / "report.html"
    page = parse(path)
    text = text_of(page)
    assert "Left out" not in text and "not in the run folder" not in text
    assert path.stat().st_size < 4_000_000
    assert page.images_without_text == 0
    assert len(page.ids) == len(set(page.ids))
    for heading in ("bias", "Accuracy of every class", "taken for", "Training", "joint space", "Spikes", "Predictions"):
        assert heading in text
    content = path.read_text()
    assert not re.search(r"https?://|//[a-z]+\.[a-z]+/|@import|<script|<link|<iframe", content)
    assert all(a.startswith(("data:image/", "#")) for a in page.addresses)
    assert {a[1:] for a in page.addresses if a.startswith("#")} <= set(page.ids), "a link inside the page leads nowhere"
    examples = json.loads((run / "report.json").read_text())["examples"]
    assert content.count("data:image/jpeg;base64,") == 2 * len(examples) > 0


def test_the_same_records_give_the_same_bytes(make_run: MakeRun, tmp_path: Path) -> None:
    run = make_run()
    first = write_report(run, tmp_path / "first.html").read_bytes()
    assert first == write_report(run, tmp_path / "second.html").read_bytes()


def test_names_are_text_and_never_markup(make_run: MakeRun) -> None:
    evil = '<script>alert("1")</script>'
    names = [
        evil,
        "a & b",
        "$x_1$",
        "naïve – ルール",
        '"><img src=x onerror=y>',
        "z{{ 7*7 }}",
        "q</svg><b>",
        "line\nbreak",
    ]
    run = make_run(8, 4, names=names)
    path = write_report(run)
    page = parse(path)
    assert "<script" not in path.read_text() and "onerror=y>" not in path.read_text().replace("&gt;", "")
    text = text_of(page)
    for name in names:
        assert " ".join(name.split()) in text


@pytest.mark.usefixtures("plain")
def test_shown_scores_are_those_of_the_result(make_run: MakeRun) -> None:
    run = make_run(12, 5)
    result = json.loads((run / "result.json").read_text())
    content = write_report(run).read_text()
    for key in ("hm", "seen", "unseen", "zsl"):
        tile = re.search(rf'<div class="tile {key}">.*?<p class="value">([\d.]+)<', content, re.DOTALL)
        assert tile is not None and tile[1] == f"{result[key]:.2f}"
    assert f"Guessing gives {result['zsl_chance']:.2f}&nbsp;%." in content
    # Computed again from the stored scores, the means over classes agree with the result.
    assert f"mean {result['seen']:.2f} %" in content
    assert f"mean {result['unseen']:.2f} %, zero-shot {result['zsl']:.2f} %" in content
    assert "not of the same run" not in content


@pytest.mark.usefixtures("plain")
def test_scores_that_contradict_the_result_are_pointed_out(make_run: MakeRun) -> None:
    run = make_run()
    result = json.loads((run / "result.json").read_text())
    (run / "result.json").write_text(json.dumps(result | {"seen": result["seen"] - 5}))
    assert "not of the same run" in write_report(run).read_text()


@pytest.mark.usefixtures("plain")
def test_generated_clips_are_announced(make_run: MakeRun) -> None:
    run = make_run()
    assert "Simulated data." in write_report(run).read_text()
    result = json.loads((run / "result.json").read_text())
    (run / "result.json").write_text(json.dumps(result | {"simulated": False}))
    content = write_report(run).read_text()
    assert "Simulated data." not in content and "Nothing that the records of this run know of." in content
    del result["simulated"]
    (run / "result.json").write_text(json.dumps(result))
    assert "do not say whether its clips are real" in write_report(run).read_text()


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("result.json", "No scores yet: result.json is not in the run folder."),
        ("settings.json", None),
        ("epochs.jsonl", "epochs.jsonl is not in the run folder"),
        ("evaluation.json", "evaluation.json is not in the run folder"),
        ("evaluation.safetensors", "evaluation.safetensors is not in the run folder"),
        ("report.json", "report.json is not in the run folder"),
        ("report.safetensors", "report.safetensors is not in the run folder"),
        ("thumbnails", "No pictures"),
    ],
)
@pytest.mark.parametrize("damage", ["missing", "garbage"])
@pytest.mark.usefixtures("plain")
def test_a_missing_or_damaged_part_becomes_a_sentence(
    make_run: MakeRun, name: str, sentence: str | None, damage: str
) -> None:
    run = make_run(5, 2)
    target = run / name
    if target.is_dir():
        for picture in target.iterdir():
            picture.unlink()
    elif damage == "missing":
        target.unlink()
    else:
        target.write_bytes(b"\x00\xff{[ not json")
    text = text_of(parse(write_report(run)))
    assert "How to read this" in text
    if sentence is not None and damage == "missing":
        assert sentence in text


@pytest.mark.usefixtures("plain")
def test_a_folder_with_nothing_but_a_log_still_gives_a_page(make_run: MakeRun, tmp_path: Path) -> None:
    run = tmp_path / "bare"
    run.mkdir()
    (run / "epochs.jsonl").write_text('{"stage": 1, "epoch": 0, "loss": 1.5}\n{"stage": 1, "epo')
    text = text_of(parse(write_report(run)))
    assert "Stage 1, 1 epoch" in text and "No scores yet" in text


def test_what_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="not a folder"):
        write_report(tmp_path / "absent")
    with pytest.raises(DataError, match="holds no finished or running training"):
        write_report(tmp_path)


@pytest.mark.usefixtures("plain")
def test_a_place_that_cannot_be_written_is_named(make_run: MakeRun, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot write"):
        write_report(make_run(5, 2), tmp_path / "file" / "report.html")


def test_values_that_are_not_numbers_show_as_a_dash(make_run: MakeRun) -> None:
    run = make_run(5, 3)
    result = json.loads((run / "result.json").read_text())
    (run / "result.json").write_text(json.dumps(result | {"hm": float("nan"), "zsl": None, "epoch": None}))
    log = (run / "epochs.jsonl").read_text().replace('"loss": 1.5', '"loss": NaN')
    (run / "epochs.jsonl").write_text(log)
    arrays = load_file(run / "evaluation.safetensors")
    arrays["scores"][2] = np.nan
    arrays["embeddings"][2] = np.inf
    save_file(arrays, run / "evaluation.safetensors")
    content = write_report(run).read_text()
    assert '<p class="value">–<' in content
    assert "nan" not in re.sub(r"base64,[^\"]*", "", content).lower().replace("financ", "")


@pytest.mark.usefixtures("plain")
def test_a_class_without_clips_is_left_out_of_the_means(make_run: MakeRun) -> None:
    run = make_run(6, 3)
    arrays = load_file(run / "evaluation.safetensors")
    arrays["labels"][arrays["labels"] == 1] = 0
    save_file(arrays, run / "evaluation.safetensors")
    text = text_of(parse(write_report(run)))
    assert "class number 001 0" in text and "Left out" not in text


@pytest.mark.usefixtures("plain")
def test_pictures_outside_the_run_are_not_read(make_run: MakeRun, tmp_path: Path) -> None:
    run = make_run(5, 3)
    (tmp_path / "secret.jpg").write_bytes(b"secret")
    extra = json.loads((run / "report.json").read_text())
    extra["examples"] = [extra["examples"][0] | {"frames": "../secret.jpg", "sound": "/etc/hostname"}]
    (run / "report.json").write_text(json.dumps(extra))
    assert "data:image" not in write_report(run).read_text()


@pytest.mark.usefixtures("plain")
def test_a_method_without_a_common_space_or_spikes_says_so(make_run: MakeRun) -> None:
    run = make_run(5, 3)
    arrays = load_file(run / "evaluation.safetensors")
    save_file({k: v for k, v in arrays.items() if "embeddings" not in k}, run / "evaluation.safetensors")
    save_file({"other": np.zeros(1)}, run / "report.safetensors")
    text = text_of(parse(write_report(run)))
    assert "does not place clips in one space" in text
    assert "no spiking neurons" in text


@pytest.mark.usefixtures("plain")
def test_right_and_wrong_differ_in_words(make_run: MakeRun) -> None:
    run = make_run(8, 4)
    arrays = load_file(run / "evaluation.safetensors")
    unseen = np.nonzero(~arrays["seen"][arrays["labels"]])[0]
    good, bad = int(unseen[0]), int(unseen[1])
    for row, column in ((good, arrays["labels"][good]), (bad, 0)):
        arrays["scores"][row] = -5.0
        arrays["scores"][row, column] = 2.5
    save_file(arrays, run / "evaluation.safetensors")
    extra = {"examples": [{"clip": f"clip_{good:04d}"}, {"clip": f"clip_{bad:04d}"}, {"clip": "of other data"}]}
    (run / "report.json").write_text(json.dumps(extra))
    content = write_report(run).read_text()
    assert content.count("✓ right") == 1 and content.count("✗ wrong") == 1
    assert "1 of these 2 are right" in content
    # 2.5 as it is for an unseen class, less the bias of 0.8 for a seen one.
    assert '<span class="score">2.500</span>' in content and '<span class="score">1.700</span>' in content


@pytest.mark.usefixtures("plain")
def test_published_numbers_stand_beside_the_run(make_run: MakeRun) -> None:
    run = make_run(5, 2)
    result = json.loads((run / "result.json").read_text())
    more = {"published": {"seen": 56.47, "unseen": 39.4}, "published_note": "one run of others"}
    (run / "result.json").write_text(json.dumps(result | more))
    text = text_of(parse(write_report(run)))
    assert "published 56.47 39.40 – –" in text and "Published numbers: one run of others." in text
