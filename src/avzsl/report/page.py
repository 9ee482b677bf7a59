"""RUN folder in, one self-contained HTML file out."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import Any

import avzsl
from avzsl.errors import MissingExtraError
from avzsl.files import write_text
from avzsl.report.records import read_records
from avzsl.report.sections import all_sections, number
from avzsl.report.summary import summary

NAME = "report.html"


def write_report(run: Path, out: Path | None = None) -> Path:
    """Write the report of a run: one file that needs no network and no other file.

    Only files of the run folder are read. A part whose records are missing or damaged is left out with a sentence
    that says why. The same records give the same bytes.

    Args:
        run: folder that training wrote.
        out: the HTML file; None = `report.html` inside `run`.

    Returns:
        Where the report lies.

    Raises:
        DataError: `run` is not the folder of a run.
        OutputError: the file cannot be written.
        MissingExtraError: jinja2 is not installed.
    """
    run = Path(run)
    records = read_records(run)
    page = environment().get_template("page.html").render(
        summary=summary(records), sections=all_sections(records), run=run.name or run.resolve().name,
        version=avzsl.__version__,
    )  # fmt: skip
    target = run / NAME if out is None else Path(out)
    # A name with half a surrogate pair cannot be encoded; a question mark can.
    write_text(target, page.encode("utf-8", "replace").decode("utf-8"))
    return target


def environment() -> Any:
    """Templates of this room.

    Raises:
        MissingExtraError: jinja2 is not installed.
    """
    try:
        import jinja2
    except ImportError as error:
        raise MissingExtraError("jinja2", "report", "writing the report") from error

    def load(name: str) -> str:
        return files("avzsl.report").joinpath(f"templates/{name}").read_text(encoding="utf-8")

    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(load), autoescape=True, trim_blocks=True, lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )  # fmt: skip
    environment.filters["number"] = number
    environment.filters["percent"] = _percent
    environment.globals["style"] = load("style.css")
    return environment


def _percent(fraction: Any, digits: int = 1) -> str:
    return number(100 * fraction if isinstance(fraction, int | float) else fraction, digits)
