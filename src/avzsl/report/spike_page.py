"""A survey of spikes as one HTML page, and its pictures as files beside it."""

from __future__ import annotations

from pathlib import Path

import avzsl
from avzsl.errors import DataError
from avzsl.files import write_text
from avzsl.report import spike_pictures as pictures
from avzsl.report.page import environment
from avzsl.report.records import Array
from avzsl.report.spike_findings import findings
from avzsl.report.spike_tables import TENSORS, facts, read_survey, simulated, tables, title_of
from avzsl.report.spike_traces import clip_pictures

PICTURES = "pictures"


def write_page(folder: Path) -> Path:
    """Write `spikes.html`, one file that needs no network, and `pictures/` with each figure as PNG and SVG.

    Raises:
        DataError: `spikes.json` or `spikes.safetensors` is missing or damaged.
        OutputError: the folder cannot be written to.
        MissingExtraError: jinja2 or matplotlib is not installed.
    """
    record, arrays = read_survey(folder), _read_traces(folder / TENSORS)
    made = folder / PICTURES
    drawn = {
        "rates": [pictures.heat_map(record, made), pictures.group_picture(record, made)],
        "neurons": [pictures.neuron_picture(record, made)],
        "energy": [pictures.total_picture(record, made), pictures.module_picture(record, made)],
        "layers": [pictures.layer_picture(record, made)],
        "clips": [picture for clip in record["shown"] for picture in clip_pictures(record, arrays, clip, made)],
    }
    page = environment().get_template("spike_survey.html").render(
        title=title_of(record), simulated=simulated(record), facts=facts(record), findings=findings(record),
        pictures=drawn, tables={table.key: table for table in tables(record)}, folder=folder.name,
        model=record["model"], version=avzsl.__version__,
    )  # fmt: skip
    path = folder / "spikes.html"
    write_text(path, page.encode("utf-8", "replace").decode("utf-8"))
    return path


def _read_traces(path: Path) -> dict[str, Array]:
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        return dict(load_file(str(path)))
    except (SafetensorError, OSError, ValueError, KeyError) as error:
        raise DataError(f"{path} is missing or damaged; give the same 'avzsl spikes' command again") from error
