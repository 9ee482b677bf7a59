"""What stands in the files: numbers that come back, letters that are escaped, words that may not be missing."""

from __future__ import annotations

import csv
import html
import io
import json
import re
from pathlib import Path
from typing import Any

import pytest

from avzsl.errors import DataError
from avzsl.report.reproduce import sheets, write_items
from avzsl.report.reproduce.latex import escape as latex_escape
from avzsl.report.reproduce.latex import latex
from avzsl.report.reproduce.texts import escape as markdown_escape
from avzsl.report.reproduce.texts import markdown, order_rows, result_rows

NASTY = r"50% | of_{x} & <b>*y*</b> #1 $a$ \n ~^"


def score(published: float | None, mean: float | None, sd: float | None, **more: Any) -> dict[str, Any]:
    return {
        "published": published, "mean": mean, "sd": sd, "values": {} if mean is None else {"0": mean, "1": mean + 1.0},
        "difference": None, "band": None, "verdict": "not comparable",
    } | more  # fmt: skip


def row(key: str, label: str, *, reference: bool = False, **scores: Any) -> dict[str, Any]:
    return {
        "key": key, "label": label, "method": "stft", "settings": ["pooling=false"], "preset": "demo", "reason": "",
        "reference": reference, "done": 2, "scores": scores,
    }  # fmt: skip


@pytest.fixture
def record() -> dict[str, Any]:
    """Table IV with two rows, on data that do not compare."""
    orders = [
        {
            "better": "stft", "worse": "glp", "score": name, "where": "", "paper": 4.93, "sign": 1, "mean": -1.5,
            "sd": 0.25, "values": {}, "seeds": [-3.0, 0.0], "classes": None, "verdict": verdict,
        }
        for name, verdict in (("hm", "leans the other way"), ("zsl", "holds"))
    ]  # fmt: skip
    panel = {
        "label": "World", "title": "", "paper": "UCF", "comparable": False,
        "reasons": ["the data are simulated: the clips were made by a program"], "columns": ["hm", "zsl"],
        "rows": [
            row("glp", "W/o GLP", hm=score(27.65, 61.234, 1.5), zsl=score(24.79, None, None)),
            row("stft", "STFT", reference=True, hm=score(32.58, 60.0, None), zsl=score(29.72, 50.0, 0.004)),
        ],
        "facts": [["data", "World"]], "chance": 6.25, "orders": orders, "pairs": {"hm": [3, 6]}, "notes": ["HM is 0"],
    }  # fmt: skip
    return {
        "format": 1, "kind": "results", "item": "table4", "number": "Table IV", "caption": "Ablation study",
        "quick": False, "seeds": [0, 1], "preset": None, "settings": [], "mode": None, "device": "cpu",
        "contradictions": ["29.72 and 30.72"], "panels": [panel], "rules": ["A rule."],
    }  # fmt: skip


@pytest.fixture
def comparable(record: dict[str, Any]) -> dict[str, Any]:
    """The same on the paper's features."""
    panel = record["panels"][0]
    panel |= {"label": "UCF", "comparable": True, "reasons": []}
    judged = {"difference": -1.42, "band": 1.0, "verdict": "below"}
    panel["rows"][0]["scores"]["hm"] |= judged
    panel["rows"][0]["scores"]["zsl"] |= {"verdict": ""}
    panel["rows"][1]["scores"]["hm"] |= {"difference": 0.5, "band": 1.0, "verdict": "within the band"}
    panel["rows"][1]["scores"]["zsl"] |= {"difference": 3.25, "band": 1.0, "verdict": "above"}
    return record


def stored(record: dict[str, Any], out: Path) -> Path:
    folder = out / record["item"]
    folder.mkdir(parents=True)
    (folder / f"{record['item']}.json").write_text(json.dumps(record))
    return folder


def test_ours_stand_beside_the_papers_without_a_difference_where_nothing_compares(record: dict[str, Any]) -> None:
    sheet = sheets.result_sheet(record["panels"][0])
    assert sheet.groups == (("HM", ("paper", "ours")), ("ZSL", ("paper", "ours")))
    assert sheet.names == ["HM paper", "HM ours", "ZSL paper", "ZSL ours"]
    assert sheet.rows[0].cells == ("27.65", "61.23 ± 1.50", "24.79", "–")
    assert sheet.rows[1].cells == ("32.58", "60.00", "29.72", "50.00 ± 0.00") and sheet.rows[1].strong
    assert sheets.verdict_sheet(record["panels"][0]) is None
    assert sheets.notice(record["panels"][0]).startswith("No reproduction: the data are simulated")
    assert "(UCF) stand beside ours to show its order" in sheets.notice(record["panels"][0])
    assert sheets.panel_title(record["panels"][0]) == "World (simulated)"


def test_difference_and_verdict_stand_where_the_numbers_compare(comparable: dict[str, Any]) -> None:
    panel = comparable["panels"][0]
    sheet = sheets.verdict_sheet(panel)
    assert sheet is not None and sheet.names == ["HM", "ZSL"]
    assert sheet.rows[0].cells == ("−1.42 below", "–")
    assert sheet.rows[1].cells == ("+0.50 within the band", "+3.25 above")
    assert "Difference and verdict" in markdown(comparable, {}) and "-verdict}" in latex(comparable)
    assert "| −1.42 below |" in markdown(comparable, {})
    assert sheets.notice(panel) == "" and sheets.panel_title(panel) == "UCF"
    assert "HM: 1 of 2 numbers within the band." in sheets.summary(panel)
    assert "ZSL: 0 of 1 numbers within the band." in sheets.summary(panel)


def test_columns_that_the_paper_does_not_have_are_left_out(record: dict[str, Any]) -> None:
    panel = record["panels"][0]
    for entry in panel["rows"]:
        entry["scores"]["hm"]["published"] = None
    sheet = sheets.result_sheet(panel)
    assert sheet.groups == (("HM", ("",)), ("ZSL", ("paper", "ours")))
    assert sheet.rows[0].cells == ("61.23 ± 1.50", "24.79", "–") and sheet.starts == {1}


def test_the_order_is_told_line_by_line_and_counted(record: dict[str, Any]) -> None:
    panel = record["panels"][0]
    sheet = sheets.order_sheet(panel)
    assert sheet is not None
    assert sheet.rows[0].label == "STFT − W/o GLP"
    assert sheet.rows[0].cells == ("HM", "+4.93", "−1.50 ± 0.25", "[−3.0, 0.0]", "–", "leans the other way")
    assert sheets.summary(panel) == [
        "HM, the paper's order in 1 comparison: 1 × leans the other way.",
        "ZSL, the paper's order in 1 comparison: 1 × holds.",
        "HM: 3 of 6 pairs of methods stand in the paper's order.",
    ]
    panel["orders"][0] |= {"where": "Sec. IV", "paper": None}
    sheet = sheets.order_sheet(panel)
    assert sheet is not None and sheet.rows[0].cells[1] == "better" and sheet.rows[0].cells[-1] == "Sec. IV"
    assert all(len(line.cells) == len(sheet.names) for line in sheet.rows)
    assert sheets.order_sheet({**panel, "orders": []}) is None


def test_every_verdict_of_the_engine_is_counted() -> None:
    from avzsl.experiments.reproduce import numbers

    words = {numbers.HOLDS, numbers.LEANS, numbers.LEANS_AGAINST, numbers.REVERSED, numbers.SAME_SIGN,
             numbers.OTHER_SIGN, numbers.EQUAL}  # fmt: skip
    assert set(sheets.VERDICTS) == words


def test_csv_comes_back_with_all_numbers(comparable: dict[str, Any]) -> None:
    comparable["panels"][0]["rows"][0]["label"] = 'a "quoted", label\nwith a line'
    rows = list(csv.DictReader(io.StringIO(result_rows(comparable))))
    assert len(rows) == 4
    first = rows[0]
    assert first["label"] == 'a "quoted", label\nwith a line'
    assert [float(first[n]) for n in ("published", "mean", "sd", "difference", "band")] == [
        27.65,
        61.234,
        1.5,
        -1.42,
        1.0,
    ]
    assert (first["verdict"], first["score"], first["data"], first["comparable"]) == ("below", "hm", "UCF", "True")
    assert rows[1]["mean"] == "" and rows[1]["published"] == "24.79"
    orders = list(csv.DictReader(io.StringIO(order_rows(comparable))))
    assert [float(orders[0][n]) for n in ("paper", "mean", "seeds_low", "seeds_high")] == [4.93, -1.5, -3.0, 0.0]
    assert orders[0]["classes_low"] == "" and orders[1]["verdict"] == "holds"


def test_markdown_keeps_its_columns_whatever_the_words(record: dict[str, Any]) -> None:
    record["panels"][0]["rows"][0]["label"] = NASTY
    text = markdown(record, {0: ["table4.png"]})
    lines = [line for line in text.splitlines() if line.startswith("|")]
    bars = [len(re.findall(r"(?<!\\)\|", line)) for line in lines]
    assert bars == [6] * 4 + [8] * 4
    assert "![World (simulated)](table4.png)" in text and "<b>" not in text.replace(r"\<b\>", "")
    assert "# Table IV" in text and "No reproduction" in text and "29.72 and 30.72" in text
    assert "(quick)" in markdown(record | {"quick": True}, {}).splitlines()[0]


def test_markdown_escape_is_undone_by_a_reader() -> None:
    assert re.sub(r"\\(.)", r"\1", markdown_escape(NASTY)) == NASTY


def test_latex_is_balanced_and_escaped(record: dict[str, Any]) -> None:
    record["panels"][0]["rows"][0]["label"] = NASTY
    text = latex(record)
    assert text.count(r"\begin{") == text.count(r"\end{") == 4
    body = re.sub(r"\\[\\{}$&#%_]|(?<!\\)%.*", "", text)
    assert body.count("{") == body.count("}") and body.count("$") % 2 == 0
    for block in re.findall(r"\\midrule\n(.*?)\\bottomrule", text, re.DOTALL):
        spec = re.search(r"\\begin\{tabular\}\{(l\w*)\}", text)
        assert spec is not None
        for line in block.strip().splitlines():
            assert len(re.findall(r"(?<!\\)&", line)) in (4, 6) and line.endswith(r"\\")
    assert r"\cmidrule(lr){2-3} \cmidrule(lr){4-5}" in text
    assert r"\multicolumn{2}{c}{HM}" in text and r"61.23 $\pm$ 1.50" in text
    assert r"\textbf{STFT}" in text and "No reproduction" in text and text.isascii()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("50% & more", r"50\% \& more"),
        ("a_b^c~{d}", r"a\_b\textasciicircum{}c\textasciitilde{}\{d\}"),
        ("\\cmd $x$ #1", r"\textbackslash{}cmd \$x\$ \#1"),
        ("α 0.2, β 0.8: −1 ± 2", r"$\alpha$ 0.2, $\beta$ 0.8: $-$1 $\pm$ 2"),
        ("ルール", "???"),
    ],
)
def test_latex_escape(text: str, expected: str) -> None:
    assert latex_escape(text) == expected


def test_latex_compiles_nothing_it_should_not() -> None:
    assert "\\input" not in latex_escape(r"\input{/etc/passwd}").replace(r"\textbackslash{}input", "")


def test_a_page_is_one_file_with_everything(record: dict[str, Any], tmp_path: Path) -> None:
    record["panels"][0]["rows"][0]["label"] = "<script>alert(1)</script>"
    record["quick"] = True
    stored(record, tmp_path)
    written = write_items(tmp_path, ["table4"])
    names = {path.name for path in written}
    endings = (".html", ".md", ".csv", ".tex", "-order.csv", ".png", ".svg")
    assert names == {"index.html", "index.md", *(f"table4{ending}" for ending in endings)}
    page = (tmp_path / "table4" / "table4.html").read_text(encoding="utf-8")
    assert "<script>" not in page and "&lt;script&gt;" in page
    assert "Table IV (quick)" in page and "quick run" in page and "No reproduction" in page and "30.72" in page
    assert not re.search(r'(src|href)="(?!#|\.\./index\.html)', page)
    for word in ("61.23", "27.65", "W", "leans the other way", "pooling=false", "A rule.", "HM is 0"):
        assert word in html.unescape(page), word
    index = (tmp_path / "index.html").read_text(encoding="utf-8")
    assert 'href="table4/table4.html"' in index and "(quick)" in index and "no reproduction" in index
    assert (tmp_path / "table4" / "table4.png").read_bytes().startswith(b"\x89PNG")
    again = {path: path.read_bytes() for path in written}
    assert {path: path.read_bytes() for path in write_items(tmp_path, ["table4"])} == again


def test_a_page_of_numbers_that_compare_has_verdicts(comparable: dict[str, Any], tmp_path: Path) -> None:
    folder = stored(comparable, tmp_path)
    write_items(tmp_path, ["table4"])
    page = html.unescape((folder / "table4.html").read_text(encoding="utf-8"))
    assert "−1.42 below" in page and "No reproduction" not in page and "no reproduction" not in page
    assert ">paper<" in re.sub(r"\s+", "", (folder / "table4.svg").read_text(encoding="utf-8"))


def test_a_sweep_is_drawn(record: dict[str, Any], tmp_path: Path) -> None:
    panel = record["panels"][0]
    panel["chart"] = {
        "key": "a", "title": "T", "axis": "time steps T", "ticks": ["2", "dynamic"], "apart": 1,
        "series": [{"label": "with TSF", "keys": ["stft", "glp"]}, {"label": "without", "keys": ["glp", "glp"]}],
    }  # fmt: skip
    record |= {"item": "fig3", "panels": [panel, {**panel, "label": "Other"}]}
    folder = stored(record, tmp_path)
    write_items(tmp_path, ["fig3"])
    assert {path.name for path in folder.glob("*.svg")} == {"fig3-a-World.svg", "fig3-a-Other.svg"}
    drawing = (folder / "fig3-a-World.svg").read_text(encoding="utf-8")
    for word in ("with TSF", "without", "time steps T", "dynamic", "HM, %", "guessing", "simulated"):
        assert word in drawing


def test_nothing_is_drawn_without_numbers(record: dict[str, Any], tmp_path: Path) -> None:
    for entry in record["panels"][0]["rows"]:
        for name in ("hm", "zsl"):
            entry["scores"][name] = score(30.0, None, None)
    folder = stored(record, tmp_path)
    write_items(tmp_path, ["table4"])
    assert not list(folder.glob("*.png")) and "<figure" not in (folder / "table4.html").read_text()


def test_without_the_extra_packages_the_texts_are_there(
    record: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "matplotlib", None)
    stored(record, tmp_path)
    with pytest.warns(UserWarning, match=r"no page and no pictures, because .*avzsl\[report\]"):
        names = {path.name for path in write_items(tmp_path, ["table4"])}
    assert {"table4.md", "table4.csv", "table4.tex", "index.md"} <= names and "table4.html" not in names


def test_the_index_keeps_earlier_items_in_the_papers_order(record: dict[str, Any], tmp_path: Path) -> None:
    stored(record, tmp_path)
    write_items(tmp_path, ["table4"])
    second = {**record, "item": "table2", "number": "Table II"}
    stored(second, tmp_path)
    (tmp_path / "odd").mkdir()
    (tmp_path / "odd" / "odd.json").write_text("{}")
    write_items(tmp_path, ["table2"], ["table2", "table3", "table4"])
    index = (tmp_path / "index.md").read_text()
    assert index.index("Table II]") < index.index("Table IV]") and "odd" not in index


def test_a_refused_item_says_why(record: dict[str, Any], tmp_path: Path) -> None:
    folder = stored(record, tmp_path)
    write_items(tmp_path, ["table4"])
    refused = {k: v for k, v in record.items() if k not in ("panels", "rules")}
    refused |= {"kind": "refused", "reason": "Table IV needs features of family 'main'"}
    (folder / "table4.json").write_text(json.dumps(refused))
    write_items(tmp_path, ["table4"])
    assert {path.name for path in folder.iterdir()} == {"table4.json", "table4.md"}
    assert "needs features" in (tmp_path / "index.md").read_text()
    assert "needs features" in (tmp_path / "index.html").read_text()


@pytest.mark.parametrize("content", ["{", "[]", '{"format": 1}', '{"format": 1, "kind": "other"}', '{"format": 2}'])
def test_a_damaged_record_is_refused(content: str, tmp_path: Path) -> None:
    (tmp_path / "table4").mkdir()
    (tmp_path / "table4" / "table4.json").write_text(content)
    with pytest.raises(DataError, match=r"table4\.json"):
        write_items(tmp_path, ["table4"])
