"""A survey of spikes (`spikes.json`) as sentences and tables: for a terminal, Markdown, CSV and the page.

Everything is taken from the file; nothing is computed again but how it looks.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from avzsl.errors import DataError
from avzsl.files import read_json, write_text
from avzsl.report.spike_findings import amount, energy, findings, percent

RECORD = "spikes.json"
TENSORS = "spikes.safetensors"
KINDS = {
    "spikes": "spikes at weights",
    "floats": "floats at weights of spiking layers",
    "upkeep": "neurons, norms, thresholds",
    "float module": "modules without spiking neurons",
}

Record = Mapping[str, Any]


@dataclass(frozen=True)
class Table:
    """A table for reading: its name, a sentence about it, and texts by row. The first column holds names."""

    key: str
    title: str
    note: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def read_survey(folder: Path) -> dict[str, Any]:
    """What `avzsl spikes` stored.

    Raises:
        DataError: there is nothing, or it is damaged.
    """
    path = folder / RECORD
    record = read_json(path)
    if not isinstance(record, dict) or record.get("format") != 1 or not isinstance(record.get("layers"), list):
        raise DataError(f"{path} is no survey of this version; give the same 'avzsl spikes' command again")
    return record


def write_tables(folder: Path) -> list[Path]:
    """Write `spikes.md` and `spikes.csv` beside `spikes.json`; they need no extra package.

    Raises:
        DataError: `spikes.json` is missing or damaged.
        OutputError: the folder cannot be written to.
    """
    record = read_survey(folder)
    paths = [folder / "spikes.md", folder / "spikes.csv"]
    write_text(paths[0], markdown(record))
    write_text(paths[1], comma_separated(record))
    return paths


def title_of(record: Record) -> str:
    """What was looked at."""
    return f"Spikes of {record['title']} on {record['benchmark']}"


def simulated(record: Record) -> str:
    """A sentence where clips or features were made by a program, else nothing."""
    if not record["simulated"]:
        return ""
    return "Simulated: the clips or their features were made by a program; rates on real videos will be others."


def facts(record: Record) -> list[tuple[str, str]]:
    """What the numbers depend on, as label and value."""
    clips, model = record["clips"], record["model"]
    return [
        ("run", str(record["run"])),
        ("benchmark", f"{record['benchmark']}, {record['family']} features"),
        ("fingerprint", str(record["fingerprint"])[:12]),
        ("test clips", f"{clips['all']}: {clips['seen']} of seen and {clips['unseen']} of unseen classes"),
        ("time steps", str(record["time_steps"])),
        ("energy", f"{model['name']} at 45 nm: {model['mac']:.4g} pJ per MAC, {model['add']:.4g} pJ per AC"),
    ]


def tables(record: Record) -> list[Table]:
    """All tables."""
    return [rate_table(record), step_table(record), operation_table(record), energy_table(record), part_table(record)]


def rate_table(record: Record) -> Table:
    """Rates by group of clips."""
    rows = [
        (
            layer["name"], str(layer["neurons"]),
            *(_spread(layer["rates"][group]) for group in ("all", "seen", "unseen")),
            str(layer["silent"]), str(layer["saturated"]),
        )
        for layer in record["layers"]
    ]  # fmt: skip
    note = (
        "Share of neurons that fire at a step, mean and sample standard deviation over clips. Silent neurons fire for"
        " no clip of the test set, saturated ones at every step of every clip."
    )
    header = ("layer", "neurons", "all clips", "seen classes", "unseen classes", "silent", "saturated")
    return Table("rates", "Firing rates", note, header, tuple(rows))


def _spread(rates: Record) -> str:
    if rates["mean"] is None:
        return "-"
    return percent(rates["mean"], 2) + ("" if rates["sd"] is None else f" ± {100 * rates['sd']:.2f}")


def step_table(record: Record) -> Table:
    """Rates step by step."""
    rows = [
        (layer["name"], *(percent(rate) for rate in layer["rates"]["all"]["by_step"])) for layer in record["layers"]
    ]
    header = ("layer", *(f"step {t + 1}" for t in range(record["time_steps"])))
    return Table("steps", "Firing rates by time step", "Mean over all test clips.", header, tuple(rows))


def operation_table(record: Record) -> Table:
    """Synaptic operations, counted and in closed form."""
    rows = [
        (
            f"{part['layer']}, {part['name']}", part["arrives"], amount(part["operations"]), amount(part["sd"]),
            amount(part["closed_form"]), _signed(part["difference"]), _signed(part["difference_padded"]),
            amount(part["macs"]), amount(part["dense"]),
        )
        for part in record["synapses"]
    ]  # fmt: skip
    note = (
        "Per clip. An operation is one spike reaching one neuron; counted from the real spikes and the targets of each."
        " The closed form is rate x steps x synapses. The dense column is what a machine does that multiplies"
        " zeros, too."
    )
    header = (
        "weights", "fed by", "operations", "± over clips", "closed form", "differs", "with padding", "multiply-adds",
        "dense",
    )  # fmt: skip
    return Table("operations", "Synaptic operations", note, header, tuple(rows))


def _signed(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:+.2f} %"


def energy_table(record: Record) -> Table:
    """Energy by kind of effort, beside the twin and the variant."""
    columns = [record["totals"], record["twin"], record["variant"]]
    rows = []
    for kind, words in KINDS.items():
        cells = [None if c is None else (c["arithmetic_by_kind"][kind], c["memory_by_kind"][kind]) for c in columns]
        rows.append((words, *_both(cells)))
    rows.append(("in all", *_both([None if c is None else (c["arithmetic"], c["memory"]) for c in columns])))
    note = (
        "Per clip, from counts and constants, not measured. The twin is the same network without spikes and time steps:"
        " every product dense, once for each distinct input. The variant is the method's own, where it has one."
    )
    names = ("method", "twin", "variant")
    header = ("arithmetic, and with memory", *(text for name in names for text in (name, "with memory")))
    return Table("energy", "Energy", note, header, tuple(rows))


def _both(cells: Sequence[tuple[float, float] | None]) -> list[str]:
    return [text for cell in cells for text in (("-", "-") if cell is None else (energy(cell[0]), energy(sum(cell))))]


def part_table(record: Record) -> Table:
    """Every part of the method: what it does and what that costs."""
    rows = [
        (
            f"{part['module']}{': ' if part['layer'] else ''}{part['layer']}", part["part"],
            "spikes" if part["kind"] == "spikes" else "floats", amount(part["counts"]["macs"]),
            amount(part["counts"]["adds"]), amount(part["counts"]["special"]), energy(part["arithmetic"]),
            energy(part["arithmetic"] + part["memory"]),
        )
        for part in record["parts"]
    ]  # fmt: skip
    note = (
        "Per clip. In modules without spiking neurons only products are counted, so their share is a lower bound."
        f" A special function (exponential, logarithm, division) is priced as {record['model']['special']:g}"
        " multiply-adds."
    )
    header = ("module", "part", "driven by", "multiply-adds", "additions", "special", "energy", "with memory")
    return Table("parts", "Part by part", note, header, tuple(rows))


def markdown(record: Record) -> str:
    """Everything for a page of text."""
    text = [f"# {title_of(record)}", ""]
    if simulated(record):
        text += [f"**{simulated(record)}**", ""]
    text += [f"- {label}: {value}" for label, value in facts(record)]
    text += ["", *(f"- {said}" for said in findings(record))]
    for table in tables(record):
        text += ["", f"## {table.title}", "", table.note, "", f"| {' | '.join(table.header)} |"]
        text.append("|---|" + "---:|" * (len(table.header) - 1))
        text += ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in table.rows]
    return "\n".join([*text, ""])


def comma_separated(record: Record) -> str:
    """One number per line: where, which group of clips, which step, what, how much."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("module", "layer", "part", "clips", "step", "quantity", "unit", "value"))
    for layer in record["layers"]:
        where = (layer["module"], layer["name"], "")
        for group, rates in layer["rates"].items():
            writer.writerow((*where, group, "", "firing rate", "share", _blank(rates["mean"])))
            writer.writerow((*where, group, "", "firing rate, deviation", "share", _blank(rates["sd"])))
            for step, rate in enumerate(rates["by_step"]):
                writer.writerow((*where, group, step + 1, "firing rate", "share", rate))
            for step, spread in enumerate(rates["sd_by_step"] or ()):
                writer.writerow((*where, group, step + 1, "firing rate, deviation", "share", spread))
        for name in ("neurons", "silent", "saturated"):
            writer.writerow((*where, "all", "", name, "neurons", layer[name]))
    modules = {layer["name"]: layer["module"] for layer in record["layers"]}
    names = {
        "operations": "synaptic operations", "sd": "synaptic operations, deviation",
        "closed_form": "synaptic operations, closed form",
        "closed_form_padded": "synaptic operations, closed form with padding", "macs": "multiply-adds",
        "dense": "dense multiply-adds",
    }  # fmt: skip
    for part in record["synapses"]:
        where = (modules[part["layer"]], part["layer"], part["name"])
        for key, name in names.items():
            writer.writerow((*where, "all", "", name, "per clip", _blank(part[key])))
        for group in ("seen", "unseen"):
            writer.writerow((*where, group, "", names["operations"], "per clip", _blank(part[group])))
    for network, key in (("", "parts"), ("twin ", "twin_parts"), ("variant ", "variant_parts")):
        for part in record[key]:
            where = (part["module"], part["layer"], part["part"])
            for what in ("arithmetic", "memory"):
                writer.writerow((*where, "all", "", f"{network}{what} energy", "pJ per clip", part[what]))
    return text.getvalue()


def _blank(value: float | None) -> float | str:
    return "" if value is None else value
