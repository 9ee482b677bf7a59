"""With which settings a method takes part in a benchmark, and whether it can at all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from avzsl.config import is_preset_file, preset_names
from avzsl.data.family import PUBLISHED_SIZES, find_dataset
from avzsl.data.splits import Benchmark
from avzsl.errors import AvzslError, SettingError, nearest_name
from avzsl.experiments.cells import Loader
from avzsl.experiments.run import check_columns
from avzsl.experiments.settings import assemble
from avzsl.methods._base import METHODS
from avzsl.methods._profile import count_parameters

Options = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class Choice:
    """How a method takes part on one data folder.

    Attributes:
        method: registered name.
        preset: what it starts from; None = the package's defaults.
        assignments: `key=value` texts for this method.
        options: for `run_training`.
        temporal: which features it uses; None when that is not known.
        parameters: numbers it holds on these data; None when it cannot be built.
        reason: why it cannot run; empty when it can.
    """

    method: str
    preset: str | None
    assignments: tuple[str, ...] = ()
    options: Options = field(default_factory=dict)
    temporal: bool | None = None
    parameters: int | None = None
    reason: str = ""

    @property
    def features(self) -> str:
        """`"averaged"`, `"temporal"` or nothing."""
        return "" if self.temporal is None else "temporal" if self.temporal else "averaged"


def choose(
    method: str, data: Path, benchmark: Benchmark, preset: str | None, assignments: Sequence[str], options: Options,
    load: Loader,
) -> Choice:  # fmt: skip
    """Settle the preset and the features of a method, and try whether it can be built on these data.

    Args:
        method: registered name.
        data: benchmark folder.
        benchmark: the same, loaded, for its name and its columns.
        preset: what the user asked for; None = by `choose_preset`.
        assignments: `key=value` texts, or `method:key=value` for one method.
        options: section to values that win over everything.
        load: gives the data as the settings want them.
    """
    chosen = own_preset(method, preset) if preset is not None else choose_preset(method, benchmark)
    own = assignments_of(method, assignments)
    kind = METHODS.get(method)
    try:
        settings = assemble(method, preset=chosen, assignments=own, options=options)
        loaded = load(settings, data)
        check_columns(settings, loaded)
        parameters = count_parameters(kind, settings.config, loaded.dimensions)
    except AvzslError as error:
        return Choice(method, chosen, own, options, reason=" ".join(str(error).split()))
    except Exception:  # a fault of the method: the run itself will tell
        return Choice(method, chosen, own, options, settings.data.temporal)
    return Choice(method, chosen, own, options, settings.data.temporal, parameters)


def choose_preset(method: str, benchmark: Benchmark) -> str | None:
    """The published preset of a benchmark with the published features, else `demo`, else `default`, else none."""
    names = preset_names(method)
    sizes = (benchmark.dimensions.audio, benchmark.dimensions.visual)
    stem = find_dataset(benchmark.root).stem
    if PUBLISHED_SIZES.get(benchmark.family) == sizes:
        published = stem if benchmark.family == "main" else f"{stem}_{benchmark.family}"
        if published in names:
            return published
    return next((name for name in ("demo", "default") if name in names), None)


def own_preset(method: str, preset: str) -> str | None:
    """A preset that was asked for; a method without it takes its own `default`, or none."""
    if is_preset_file(preset) or preset in preset_names(method):
        return preset
    return "default" if "default" in preset_names(method) else None


def check_preset(methods: Sequence[str], preset: str | None) -> None:
    """Refuse a preset that none of the methods has.

    Raises:
        SettingError: so it is.
    """
    names = {name for method in methods for name in preset_names(method)}
    if preset is not None and not is_preset_file(preset) and preset not in names:
        raise SettingError(f"none of the methods has a preset '{preset}'{nearest_name(preset, names)}")


def assignments_of(method: str, assignments: Sequence[str]) -> tuple[str, ...]:
    """Those for every method, and those for this one (`method:key=value`)."""
    chosen = []
    for text in assignments:
        name, colon, rest = text.partition(":")
        if not colon or "=" in name:
            chosen.append(text)
        elif METHODS.get(name).name == method:
            chosen.append(rest)
    return tuple(chosen)
