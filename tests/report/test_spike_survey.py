"""Sentences, tables, files and pictures of a survey of spikes."""

from __future__ import annotations

import copy
import csv
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from avzsl.errors import DataError
from avzsl.report.picture_files import palette
from avzsl.report.spike_findings import energy, findings, percent
from avzsl.report.spike_page import write_page
from avzsl.report.spike_tables import comma_separated, markdown, operation_table, read_survey, tables, write_tables
from avzsl.report.spike_traces import shown_neurons, typical

KINDS = ("spikes", "floats", "upkeep", "float module")


def rates(*steps: float) -> dict[str, Any]:
    mean = sum(steps) / len(steps)
    return {"clips": 4, "mean": mean, "sd": 0.01, "by_step": list(steps), "sd_by_step": [0.01] * len(steps)}


def layer(name: str, modality: str, *steps: float, silent: int = 0) -> dict[str, Any]:
    return {
        "name": name, "module": "spiking", "modality": modality, "neurons": 8, "silent": silent, "saturated": 0,
        "rates": {group: rates(*steps) for group in ("all", "seen", "unseen")}, "histogram": [8, *[0] * 19],
    }  # fmt: skip


def synapses(name: str, arrives: str, weights: int = 12, difference: float | None = None) -> dict[str, Any]:
    return {
        "layer": name, "name": "convolution", "arrives": arrives, "weights": weights, "operations": 1000.0, "sd": 5.0,
        "seen": 990.0, "unseen": 1010.0, "closed_form": 1001.0, "difference": difference,
        "closed_form_padded": 1010.0, "difference_padded": None if difference is None else 0.01 + difference,
        "macs": 0.0, "dense": 4000.0,
    }  # fmt: skip


def totals(arithmetic: float, memory: float) -> dict[str, Any]:
    return {
        "arithmetic": arithmetic, "memory": memory,
        "arithmetic_by_kind": dict.fromkeys(KINDS, arithmetic / 4), "memory_by_kind": dict.fromkeys(KINDS, memory / 4),
    }  # fmt: skip


def part(kind: str, name: str = "audio block 1") -> dict[str, Any]:
    counts = {"macs": 10.0, "adds": 20.0, "special": 0.5}
    return {
        "module": "spiking" if name else "encoders", "layer": name, "part": "convolution", "kind": kind,
        "counts": counts, "arithmetic": 1000.0, "memory": 2000.0,
    }  # fmt: skip


def column(break_even: float | None) -> dict[str, Any]:
    return {"spiking": 2000.0, "driven": 0.5, "twin": 3000.0, "break_even": break_even}


RECORD: dict[str, Any] = {
    "format": 1, "run": "runs/a", "method": "stft", "title": "STFT", "benchmark": "World", "family": "builtin",
    "fingerprint": "0123456789abcdef", "simulated": True, "clips": {"all": 4, "seen": 2, "unseen": 2},
    "time_steps": 2,
    "layers": [layer("audio block 1", "audio", 0.1, 0.5, silent=3), layer("visual block 1", "visual", 0.0, 1.0)],
    "synapses": [synapses("audio block 1", "floats"), synapses("visual block 1", "spikes", difference=-0.002)],
    "parts": [part("floats"), part("spikes", "visual block 1"), part("upkeep"), part("float module", "")],
    "twin_parts": [part("floats"), part("floats", "visual block 1")], "variant_parts": [part("float module", "")],
    "totals": totals(2e6, 4e6), "twin": totals(1e6, 4e6), "variant": totals(4e6, 4e6),
    "balance": {
        "rate": 0.2, "synapses": column(1.2), "arithmetic": column(0.1), "plain": column(0.3), "memory": column(None),
    },
    "model": {
        "name": "fp32", "bits": 32, "multiply": 3.7, "add": 0.9, "mac": 4.6, "special": 5.0,
        "caches": [[8192, 10.0], [32768, 20.0]],
    },
    "shown": [{"number": 0, "clip": "<b>clip", "class_name": "red ball", "seen": False}],
}  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    random = np.random.default_rng(0)
    spikes = (random.random((2, 8)) < 0.4).astype(np.uint8)
    arrays = {
        "0.0.spikes": spikes, "0.0.membrane": random.random((2, 8)).astype(np.float32),
        "0.0.threshold": np.full((2, 4), 0.5, np.float32), "0.1.spikes": np.zeros((2, 8), np.uint8),
    }  # fmt: skip
    save_file(arrays, str(tmp_path / "spikes.safetensors"))
    (tmp_path / "spikes.json").write_text(json.dumps(RECORD))
    return tmp_path


def changed(**values: Any) -> dict[str, Any]:
    return copy.deepcopy(RECORD) | values


@pytest.mark.parametrize(
    ("mine", "twin", "words"),
    [
        ((2e6, 4e6), (1e6, 4e6), "Spikes save nothing overall: per clip the method costs 100 % more than"),
        ((1e6, 4e6), (1.001e6, 4e6), "Spikes save nothing overall: per clip the method costs about as much as"),
        ((1e6, 4e6), (2e6, 9e6), "Spikes save energy under both ways of counting: per clip the method costs 50 % less"),
        ((1e6, 9e6), (2e6, 4e6), "Whether spikes save energy depends on what is counted"),
    ],
)
def test_the_first_sentence_says_whether_spikes_save_energy(
    mine: tuple[float, float], twin: tuple[float, float], words: str
) -> None:
    assert findings(changed(totals=totals(*mine), twin=totals(*twin)))[0].startswith(words)


def test_sentences_hold_the_numbers() -> None:
    said = "\n".join(findings(RECORD))
    assert "25.0 % is driven by spikes and 25.0 % is spent in modules without" in said
    assert "they cost less at any rate, and fire at 20.0 %" in said, "a break-even above 100 %"
    assert "below a rate of 10.0 %" in said and "even without a single spike" in said
    assert "costs 50 % less than it by arithmetic" in said
    assert "at most 0.20 % (visual block 1); with taps over padding counted, as papers do, by 0.80 %" in said
    assert "Silent on the whole test set: 3 of 16 neurons (3 of 8 in audio block 1)." in said
    assert "Firing at every step of every clip: no neuron." in said
    nothing = changed(balance=RECORD["balance"] | {"rate": None}, variant=None, synapses=[])
    assert "No spike meets a weight at all" in findings(nothing)[1]


def test_where_spikes_meet_spikes_the_closed_form_is_not_promised() -> None:
    record = changed(synapses=[synapses("joint attended", "spikes", weights=0, difference=-0.9)])
    assert any("may be far off (joint attended, convolution: -90 %)" in text for text in findings(record))


@pytest.mark.parametrize(
    ("pj", "words"),
    [(0, "0 pJ"), (12.34, "12.3 pJ"), (1234, "1.234 nJ"), (2.5e6, "2.5 µJ"), (3e9, "3 mJ"), (None, "-")],
)
def test_energies_are_written_with_their_unit(pj: float | None, words: str) -> None:
    assert energy(pj) == words


def test_a_small_share_never_reads_as_nothing() -> None:
    assert (percent(0.0001), percent(0), percent(0.1234), percent(None)) == ("< 0.1 %", "0.0 %", "12.3 %", "-")


def test_tables_have_a_cell_for_every_column() -> None:
    for record in (RECORD, changed(variant=None)):
        for table in tables(record):
            assert table.rows and all(len(row) == len(table.header) for row in table.rows)
    first, second = operation_table(RECORD).rows
    assert first[5] == "-" and second[5:7] == ("-0.20 %", "+0.80 %")


def test_text_files(folder: Path) -> None:
    assert [path.name for path in write_tables(folder)] == ["spikes.md", "spikes.csv"]
    text = markdown(RECORD)
    assert text.startswith("# Spikes of STFT on World") and "**Simulated" in text and "| audio block 1 | 8 |" in text
    rows = list(csv.DictReader(io.StringIO(comma_separated(RECORD))))
    values = {(r["layer"], r["part"], r["clips"], r["step"], r["quantity"]): r["value"] for r in rows}
    assert values["visual block 1", "", "unseen", "2", "firing rate"] == "1.0"
    assert values["visual block 1", "convolution", "seen", "", "synaptic operations"] == "990.0"
    assert values["audio block 1", "convolution", "all", "", "twin memory energy"] == "2000.0"


def test_the_page_needs_nothing_and_its_pictures_are_files(folder: Path) -> None:
    page = write_page(folder)
    text = page.read_text()
    assert "<b>clip" not in text and "http://" not in text.replace("http://www.w3.org", "")
    for title in ("Who fires when", "What spikes set in motion", "What it would cost", "Single clips"):
        assert title in text
    made = sorted(path.name for path in (folder / "pictures").iterdir())
    stems = ("clip0-audio", "clip0-visual-attention", "energy", "groups", "layers", "modules", "neurons", "rates")
    assert made == sorted(f"{stem}.{kind}" for stem in stems for kind in ("png", "svg"))
    for path in (folder / "pictures").glob("*.svg"):
        assert not any(marker in path.read_text() for marker in palette()), "a marker colour was left"
    before = page.read_bytes()
    assert write_page(folder).read_bytes() == before


def test_pictures_have_the_colours_of_the_light_page(folder: Path) -> None:
    import matplotlib.image

    write_page(folder)
    pixels = matplotlib.image.imread(folder / "pictures" / "neurons.png")[..., :3]
    drawn = {"#" + "".join(f"{round(255 * c):02x}" for c in pixel) for pixel in pixels.reshape(-1, 3)[::7]}
    assert "#0072b2" in drawn and "#ffffff" in drawn
    assert not drawn & set(palette())


def test_damage_is_said(folder: Path) -> None:
    (folder / "spikes.safetensors").write_bytes(b"nonsense")
    with pytest.raises(DataError, match=r"spikes\.safetensors is missing or damaged"):
        write_page(folder)
    (folder / "spikes.json").write_text("[]")
    with pytest.raises(DataError, match="no survey of this version"):
        read_survey(folder)


def test_a_busy_a_middling_and_a_quiet_neuron_are_drawn() -> None:
    spikes = np.array([[1, 1, 0, 0, 0], [1, 0, 0, 1, 0], [1, 0, 0, 0, 0]], dtype=bool)
    membrane = np.array([[9, 5, 1, 4, 2]] * 3)
    assert typical(spikes, membrane) == [0, 1, 4]
    assert typical(np.zeros((2, 3), bool), np.array([[1, 3, 2]] * 2)) == [1]


def test_few_firing_neurons_of_many_are_drawn_alone() -> None:
    spikes = np.zeros((2, 300), bool)
    assert shown_neurons(spikes).tolist() == []
    spikes[0, [3, 200]] = True
    assert shown_neurons(spikes).tolist() == [3, 200]
    assert len(shown_neurons(~spikes)) == 96 and len(shown_neurons(spikes[:, :50])) == 50
