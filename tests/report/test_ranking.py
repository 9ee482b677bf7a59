"""The tables and the page of a benchmark, from a record made by hand."""

from __future__ import annotations

import csv
import io
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from avzsl.errors import DataError, MissingExtraError
from avzsl.report import ranking
from avzsl.report.comparison import comparison_picture
from avzsl.report.ranking import comma_separated, facts, legend, lines, markdown, notes, write_page, write_tables

VOID = {"meta", "br", "path", "use"}


def _numbers(mean: float | None, sd: float | None = None) -> dict[str, Any]:
    values = {} if mean is None else {"A, seed 0": mean - (sd or 0), "A, seed 1": mean + (sd or 0)}
    return {"mean": mean, "sd": sd, "values": values}


def _row(method: str, rank: int | None, hm: float | None, **changes: Any) -> dict[str, Any]:
    row = {
        "method": method, "title": method.title(), "year": 2020, "venue": "V", "note": "", "yardstick": False,
        "reason": "", "features": "averaged", "preset": "demo", "parameters": 236544, "published": {},
        "published_note": "", "warnings": [], "seen": _numbers(hm, 1.0), "unseen": _numbers(hm, 2.0),
        "hm": _numbers(hm, 0.25), "zsl": _numbers(hm, 3.0), "state": "ranked" if rank else "failed", "done": 2,
        "seconds": 12.34, "rank": rank, "mean_rank": rank and float(rank),
        "below": {"seen": False, "unseen": False, "hm": False, "zsl": False},
    }  # fmt: skip
    return row | changes


def _table(**changes: Any) -> dict[str, Any]:
    about = {
        "label": "A", "path": "/data/A", "benchmark": "A", "family": "main", "mode": "clean", "extractor": "builtin",
        "profile": "clean", "text_encoder": "minilm", "fingerprints": {"averaged": "0123456789abcdef" * 4},
        "evaluated": "e", "test_clips": 320, "seen_classes": 64, "unseen_classes": 16, "zsl_chance": 6.25,
        "simulated": False,
    }  # fmt: skip
    below = {"seen": False, "unseen": False, "hm": True, "zsl": False}
    table = {
        "label": "A", "data": [about], "seeds": [0, 1],
        "yardsticks": {
            score: {"method": "ridge", "title": "Ridge", "mean": 40.0} for score in ("seen", "unseen", "hm", "zsl")
        },
        "rows": [
            _row("deep", 1, 50.0, published={"hm": 33.3, "zsl": 44.4}, published_note="from one run"),
            _row("ridge", 2, 40.0, yardstick=True),
            _row("<b>|odd", 3, 30.0, below=below, note="our reconstruction", warnings=["bias at the end"]),
            _row("broken", None, None, reason="it fell & over", parameters=None, seconds=None, mean_rank=None, done=0),
        ],
    }  # fmt: skip
    return table | changes


def _record(*tables: dict[str, Any]) -> dict[str, Any]:
    result = {"device": "cpu", "versions": {"threads": "2"}}
    return {
        "format": 1, "package": "0", "device": "cpu", "jobs": 2, "preset": None, "settings": [],
        "tables": list(tables or [_table()]), "cells": [{"result": result}, {"result": None}],
    }  # fmt: skip


def _stored(tmp_path: Path, record: dict[str, Any]) -> Path:
    (tmp_path / "benchmark.json").write_text(json.dumps(record))
    return tmp_path


class Page(HTMLParser):
    """Text, addresses, and whether every tag is closed in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.text: list[str] = []
        self.addresses: list[str] = []
        self.rows = 0
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.addresses += [v or "" for k, v in attrs if k in ("src", "href", "xlink:href")]
        self.rows += tag == "tr"
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        pass

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def test_a_row_has_means_spreads_marks_and_a_dash_for_what_is_not_there() -> None:
    shown = {line.method: line.cells for line in lines(_table())}
    assert shown["deep"] == (
        "1", "deep", "2020", "50.0 +- 1.0", "50.0 +- 2.0", "50.0 +- 0.2", "50.0 +- 3.0", "1.0", "0.24 M", "12.3",
        "averaged", "demo",
    )  # fmt: skip
    assert shown["<b>|odd"][5:7] == ("30.0 +- 0.2*", "30.0 +- 3.0")
    assert shown["broken"] == ("-", "broken", "2020", "-", "-", "-", "-", "-", "-", "-", "averaged", "demo")
    assert [line.best for line in lines(_table())] == [False, True, False, False]
    assert len(ranking.HEADER) == len(shown["deep"])


def test_the_header_says_what_the_numbers_depend_on() -> None:
    said = dict(facts(_table()))
    assert said == {
        "benchmark": "A, main features", "fingerprint": "averaged 0123456789ab", "extractor": "builtin; text minilm",
        "mode": "clean", "test": "320 clips of 64 seen and 16 unseen classes", "ZSL by guessing": "6.25 %",
        "seeds": "0, 1",
    }  # fmt: skip
    about = _table()["data"][0]
    several = _table(data=[about, about | {"label": "B"}])
    assert facts(several) == [("benchmarks", "A, B"), ("seeds", "0, 1")]
    assert "over 4 runs (2 data folders)" in legend(several)[0]


@pytest.mark.parametrize(("extractor", "what"), [("builtin", "clips"), ("simulated", "features")])
def test_simulated_data_are_called_so_everywhere(tmp_path: Path, extractor: str, what: str) -> None:
    table = _table(data=[_table()["data"][0] | {"simulated": True, "extractor": extractor}])
    sentence = f"Simulated: the {what} were made by a program, so these numbers say nothing about real videos."
    assert ranking.simulated(table) == sentence
    assert f"**{sentence}**" in markdown(_record(table))
    assert sentence in write_page(_stored(tmp_path, _record(table))).read_text()
    assert {row["simulated"] for row in csv.DictReader(io.StringIO(comma_separated(_record(table))))} == {"True"}
    assert "Simulated" not in markdown(_record())


def test_the_legend_names_the_yardstick_and_a_table_without_one_says_nothing_of_it() -> None:
    assert legend(_table())[1] == "* does not pass the best linear or training-free method: Ridge (HM 40.0, ZSL 40.0)."
    other = {"method": "nearest", "title": "Nearest", "mean": 45.0}
    assert legend(_table(yardsticks=_table()["yardsticks"] | {"zsl": other}))[1].endswith(
        "Ridge (HM 40.0) and Nearest (ZSL 45.0)."
    )
    assert len(legend(_table(yardsticks={}))) == 1
    assert legend(_table(seeds=[3]))[0].startswith("Percent, of a single run.")


def test_notes_tell_reasons_reconstructions_warnings_and_published_numbers() -> None:
    assert notes(_table()) == [
        "broken: it fell & over", "<b>|odd: our reconstruction", "<b>|odd: bias at the end",
        "published numbers: from one run",
    ]  # fmt: skip


def test_markdown_keeps_its_columns_whatever_the_names() -> None:
    text = markdown(_record())
    rows = [line for line in text.splitlines() if line.startswith("| ")]
    assert [len(re.findall(r"(?<!\\)\|", row)) for row in rows] == [len(ranking.HEADER) + 1] * 5
    assert "| **2** | **ridge** |" in text and r"30.0 ± 0.2\*" in text
    assert "\n\\* does not pass" in text
    assert "on cpu with 2 thread(s); 2 runs at a time slow each other down" in text


def test_the_csv_holds_plain_numbers() -> None:
    rows = list(csv.DictReader(io.StringIO(comma_separated(_record()))))
    assert [row["method"] for row in rows] == ["deep", "ridge", "<b>|odd", "broken"]
    assert (rows[0]["hm_mean"], rows[0]["hm_sd"], rows[0]["parameters"], rows[0]["zsl_chance"]) == (
        "50.0", "0.25", "236544", "6.25",
    )  # fmt: skip
    assert (rows[2]["below_hm"], rows[2]["below_zsl"]) == ("True", "False")
    assert (rows[3]["rank"], rows[3]["hm_mean"], rows[3]["reason"]) == ("", "", "it fell & over")


def test_the_page_is_one_well_formed_file_that_is_always_the_same(tmp_path: Path) -> None:
    folder = _stored(tmp_path, _record(_table(), _table()))
    path = write_page(folder)
    first = path.read_bytes()
    page = Page(first.decode())
    text = " ".join(" ".join(page.text).split())
    assert all(address.startswith("#") for address in page.addresses)
    assert page.rows == 2 * (1 + 4 + 1)  # header, rows, and the line below the yardstick
    assert "<b>|odd" in text and "it fell & over" in text
    assert "what stands below it has no higher HM" in text
    identifiers = re.findall(r' id="([^"]+)"', first.decode())
    assert len(identifiers) == len(set(identifiers))
    assert write_page(folder).read_bytes() == first


def test_the_picture_says_in_words_what_it_shows() -> None:
    picture = comparison_picture(_table(), "x")
    assert picture is not None
    assert "HM and ZSL of 3 methods" in picture.caption and "Deep comes first with HM 50.0 %" in picture.caption
    assert "1 learned method(s) do not pass" in picture.caption
    for text in ("1. Deep", "2. Ridge", "guessing", "published", "best linear or training-free", "one run"):
        assert f">{text}<" in picture.svg
    assert "Broken" not in picture.svg
    without = comparison_picture(_table(yardsticks={}), "x")
    assert without is not None and "best linear" not in without.svg
    assert comparison_picture(_table(rows=[_table()["rows"][3]]), "x") is None


def test_tables_need_no_extra_package_and_the_page_says_which(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    folder = _stored(tmp_path, _record())
    monkeypatch.setitem(sys.modules, "jinja2", None)
    assert [path.name for path in write_tables(folder)] == ["benchmark.md", "benchmark.csv"]
    with pytest.raises(MissingExtraError, match=r"'jinja2'; install it with: pip install 'avzsl\[report\]'"):
        write_page(folder)


@pytest.mark.parametrize("content", ["[]", "{}", '{"format": 2, "tables": []}', "{"])
def test_something_else_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "benchmark.json").write_text(content)
    with pytest.raises(DataError, match=r"benchmark\.json"):
        write_tables(tmp_path)
