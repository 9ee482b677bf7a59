"""Run sections one after the other; what is finished stays in bench.json and is not measured again."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from avzsl.errors import AvzslError, SettingError, nearest_name
from avzsl.files import lock_folder, read_json, write_json
from benchmarks.clock import cpu_seconds
from benchmarks.compare import DisagreementError
from benchmarks.context import Context, kernels, own_products, using_threads
from benchmarks.machine import code_hash, describe, load
from benchmarks.record import Comparison

RECORD = "bench.json"
FORMAT = 1
Sections = Mapping[str, tuple[str, Callable[[Context], list[Comparison]]]]
# Always measured: floors and the header rest on it.
FIRST = "machine"


@dataclass
class Section:
    """A finished section.

    Attributes:
        name, title: see `benchmarks.sections`.
        comparisons: what it found.
        seconds, cpu: it took, by the wall clock and by all processors.
        load: average of the last minute, before and after.
        code: hash of the sources it was measured with.
        error: why it found nothing, or not all.
    """

    name: str
    title: str
    comparisons: list[Comparison] = field(default_factory=list)
    seconds: float = 0.0
    cpu: float = 0.0
    load: tuple[float, float] = (0.0, 0.0)
    code: str = ""
    error: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "title": self.title,
            "seconds": self.seconds,
            "cpu": self.cpu,
            "load": list(self.load),
            "code": self.code,
            "error": self.error,
            "comparisons": [comparison.as_dict() for comparison in self.comparisons],
        }

    @staticmethod
    def from_dict(name: str, values: Mapping[str, Any]) -> Section:
        """Inverse of `as_dict`."""
        found = [Comparison.from_dict(value) for value in values["comparisons"]]
        return Section(
            name,
            values["title"],
            found,
            values["seconds"],
            values["cpu"],
            tuple(values["load"]),
            values["code"],
            values["error"],
        )


@dataclass
class Bench:
    """All that is known of one measurement.

    Attributes:
        settings: what decides whether stored sections may be kept: size, threads, seed.
        machine: see `benchmarks.machine.describe`.
        kernels, products: sentences about avzsl's compiled kernels and matrix products.
        load: average of the last minute, when the first section began and when the last one ended.
        code: hash of the sources now.
        sections: by name.
    """

    settings: dict[str, Any]
    machine: dict[str, Any]
    kernels: str
    products: str
    load: list[float]
    code: str
    sections: dict[str, Section] = field(default_factory=dict)

    @property
    def stale(self) -> list[str]:
        """Sections that were measured with other code than that of today."""
        return [name for name, section in self.sections.items() if section.code != self.code]

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "format": FORMAT,
            "settings": self.settings,
            "machine": self.machine,
            "kernels": self.kernels,
            "products": self.products,
            "load": self.load,
            "code": self.code,
            "sections": {name: section.as_dict() for name, section in self.sections.items()},
        }

    @staticmethod
    def from_dict(values: Mapping[str, Any]) -> Bench:
        """Inverse of `as_dict`."""
        sections = {name: Section.from_dict(name, value) for name, value in values["sections"].items()}
        return Bench(
            values["settings"],
            values["machine"],
            values["kernels"],
            values["products"],
            values["load"],
            values["code"],
            sections,
        )


def run(
    folder: Path, context: Context, sections: Sections, *, only: Sequence[str] = (), fresh: bool = False,
    say: Callable[[str], None] = lambda line: None,
) -> Bench:  # fmt: skip
    """Measure what is missing.

    Args:
        folder: where `bench.json` lies or will lie.
        context: sizes, threads, seed.
        sections: all there are, in order.
        only: names to measure; empty = all. `FIRST` always comes with them.
        fresh: measure these sections again, and forget a run with other settings.
        say: takes lines of progress.

    Raises:
        SettingError: an unknown section, or `folder` holds a run with other settings.
        DataError: the stored file is damaged.
        OutputError: the folder cannot be written to, or somebody else measures into it.
    """
    for name in only:
        if name not in sections:
            raise SettingError(f"unknown section '{name}'{nearest_name(name, sections)}")
    wanted = [name for name in sections if not only or name in only or name == FIRST]
    with lock_folder(folder), using_threads(context.threads):
        bench = _start(folder, context, fresh)
        for name in wanted:
            title, measure = sections[name]
            stored = bench.sections.get(name)
            # Fresh are those asked for by name; the machine's rates come again only where everything does.
            again = fresh and (not only or name in only)
            if stored is not None and not stored.error and not again:
                say(f"{name}: there already")
                continue
            say(f"{name}: {title} ...")
            section = _measure(name, title, measure, context, bench.code)
            say(f"{name}: {section.error or 'done'} ({section.seconds:.0f} s, {section.cpu:.0f} s of CPU)")
            bench.sections[name] = section
            # In the order of the suite, whatever the order in which they were asked for.
            bench.sections = {key: bench.sections[key] for key in sections if key in bench.sections}
            bench.load[1] = load()
            write_json(folder / RECORD, bench.as_dict())
    return bench


def _start(folder: Path, context: Context, fresh: bool) -> Bench:
    """The stored record, or a new one."""
    settings = {"size": context.size, "threads": context.threads, "seed": context.seed}
    new = Bench(settings, describe(context.threads), kernels()[1], own_products()[1], [load(), load()], code_hash())
    path = folder / RECORD
    if not path.is_file():
        return new
    values = read_json(path)
    try:
        same = values["settings"] == settings and values["format"] == FORMAT
        stored = Bench.from_dict(values) if same else None
    except (KeyError, TypeError, ValueError) as error:
        if not fresh:
            raise SettingError(f"{path} is damaged ({error}); pass --fresh to measure anew") from error
        return new
    if stored is None:
        if fresh:
            return new
        said = ", ".join(f"{k} {v}" for k, v in values["settings"].items())
        raise SettingError(f"{folder} holds a run with other settings ({said}); choose another --out or pass --fresh")
    if stored.machine != new.machine:
        if not fresh:
            raise SettingError(f"{folder} was measured on another machine or with other versions; pass --fresh")
        return new
    new.sections, new.load = stored.sections, [stored.load[0], new.load[1]]
    return new


def _measure(
    name: str, title: str, measure: Callable[[Context], list[Comparison]], context: Context, code: str
) -> Section:
    """One section; what goes wrong in it is said and does not stop the others."""
    before, started, cpu = load(), time.monotonic(), cpu_seconds()
    found, error = [], ""
    try:
        found = measure(context)
    except DisagreementError as wrong:
        error = f"variants disagree: {wrong}"
    except AvzslError as wrong:
        error = str(wrong)
    except Exception as wrong:
        traceback.print_exc()
        error = f"{type(wrong).__name__}: {wrong}"
    seconds, cpu = round(time.monotonic() - started, 1), round(cpu_seconds() - cpu, 1)
    return Section(name, title, found, seconds, cpu, (before, load()), code, error)
