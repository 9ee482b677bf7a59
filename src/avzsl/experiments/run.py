"""Train a method on a benchmark and judge it: the protocol from a data folder to a result file.

Only two things travel from validation to the test: the epoch and the bias. Test labels are read once, at the end.
"""

from __future__ import annotations

import os
import time
import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch

from avzsl.config import plain
from avzsl.data.family import PUBLISHED_STEMS, find_dataset
from avzsl.data.splits import Benchmark, load_benchmark
from avzsl.data.tables import EvaluationSet
from avzsl.errors import AvzslError, DataError, ModelError, SettingError, nearest_name
from avzsl.evaluation.metrics import warn_if_at_end, zsl_chance
from avzsl.evaluation.protocol import (
    REPORTED,
    ProtocolConfig,
    Quirks,
    Validation,
    is_better,
    judge,
    score_evaluation_set,
    validate,
)
from avzsl.experiments.evidence import write_evidence
from avzsl.experiments.folder import check_folder, claim_folder, tidy
from avzsl.experiments.result import RESULT, Result, percent, read_result, versions, write_result
from avzsl.experiments.settings import Settings, assemble
from avzsl.files import hash_bytes, lock_folder, read_json, sweep
from avzsl.isolation import allowance
from avzsl.methods._base import METHODS, Method
from avzsl.methods._checkpoint import ModelCard, save_model
from avzsl.methods._profile import count_parameters
from avzsl.training.stages import Fitted, Score, StageOptions, fit_stages
from avzsl.training.state import STATE
from avzsl.types import SIMULATED, BiasCurve, Gzsl

DEVICES = ("auto", "cpu", "cuda")
# Written by feature extraction; says whether the videos came from `avzsl world`.
_EXTRACTION = "extract.json"


def run_training(
    data: Path | str,
    method: str,
    *,
    out: Path | str,
    preset: str | None = None,
    assignments: Iterable[str] = (),
    options: Mapping[str, Mapping[str, Any]] | None = None,
    seed: int = 42,
    device: str = "auto",
    fresh: bool = False,
    load: Callable[[Settings, Path], Benchmark] | None = None,
    trusted: bool = False,
) -> Result:
    """Train, evaluate and store everything in a run folder; continue or report what is there already.

    Args:
        data: benchmark folder.
        method: registered name.
        out: run folder; a stopped run in it is continued, a finished one is read back.
        preset: one of the method's presets, or the path of a TOML file.
        assignments: `key=value` texts that win over the preset.
        options: section (`"train"`, `"data"`, `"protocol"`, `"method"`) to values that win over everything.
        seed: of everything random.
        device: `"auto"`, `"cpu"` or `"cuda"`.
        fresh: forget what is in the folder.
        load: gives the data as the settings want them, for callers that train on the same data again and again; None =
            read them.
        trusted: open feature files in this process, without limits on time and memory; ignored with `load`.

    Raises:
        SettingError: unknown or contradictory settings, or a folder of another run.
        DataError: the benchmark is damaged or does not fit the settings.
        ModelError: there is a result that cannot be read.
        OutputError: the folder cannot be written to.
        Interrupted: a stop was asked for; everything done is saved.
    """
    settings = assemble(method, preset=preset, assignments=assignments, options=options, seed=seed)
    where, folder = choose_device(device), Path(out)
    check_folder(folder, fresh=fresh)
    benchmark = (load or partial(load_for, trusted=trusted))(settings, Path(data))
    check_columns(settings, benchmark)
    _check_method(settings, benchmark)
    is_simulated(benchmark)  # a damaged record should show before the training, not after it
    record = settings.as_dict() | {
        "benchmark": benchmark.name,
        "family": benchmark.family,
        "fingerprint": benchmark.fingerprint,
        "device": where.type,
    }
    if os.path.lexists(folder / RESULT) and not ((folder / RESULT).is_file() or fresh):
        raise ModelError(f"{folder / RESULT} is a folder, a pipe or a broken link; remove it, or start with --fresh")
    if (folder / RESULT).is_file() and not fresh:  # a finished run may lie where nobody can write
        claim_folder(folder, record, fresh=False)
        if (folder / STATE).is_file():  # it was killed between the result and the tidying
            tidy(folder)
        return replace(read_result(folder), trained=False)
    with lock_folder(folder):
        claim_folder(folder, record, fresh=fresh)
        for place in (folder, (folder / STATE).parent):
            sweep(place)
        if (folder / RESULT).is_file():  # another process finished it just now
            return replace(read_result(folder), trained=False)
        return _train(settings, benchmark, folder, where)


def choose_device(name: str) -> torch.device:
    """Where to compute; `"auto"` takes a GPU when there is one.

    Raises:
        SettingError: unknown name, or no GPU there.
    """
    if name not in DEVICES:
        raise SettingError(f"unknown device '{name}'{nearest_name(name, DEVICES)}")
    if name == "cuda" and not torch.cuda.is_available():
        raise SettingError("no CUDA device is available here; use --device cpu")
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(name)


def load_for(settings: Settings, data: Path, *, trusted: bool = False) -> Benchmark:
    """Load the benchmark as the settings say; `trusted` as in `load_benchmark`."""
    config = settings.data
    return load_benchmark(
        data,
        family=config.family,
        temporal=config.temporal,
        mode=settings.protocol.mode,
        text_assignment=config.text_assignment,
        text_lookup=config.text_lookup,
        trust=config.trust,
        max_segments=config.max_segments,
        trusted=trusted,
    )


def check_columns(settings: Settings, benchmark: Benchmark) -> None:
    """Refuse features of other sizes than the preset was made for.

    Raises:
        DataError: a modality has another number of columns.
    """
    for modality in ("audio", "visual"):
        expected = getattr(settings.data, f"{modality}_columns")
        found = getattr(benchmark.dimensions, modality)
        if expected and found != expected:
            raise DataError(
                f"{benchmark.root.name}, family {benchmark.family}: {modality} has {found} columns, preset "
                f"{settings.method}/{settings.preset} expects {expected}; pass --family with the family it is for,"
                f" or --set {modality}_columns=0 to take any"
            )


def _check_method(settings: Settings, benchmark: Benchmark) -> None:
    """Refuse a method that cannot be built for these features, before it claims a folder.

    Raises:
        SettingError: its own words.
    """
    try:
        size = 4 * count_parameters(METHODS.get(settings.method), settings.config, benchmark.dimensions)
        if allowance(size) < size:
            raise SettingError(
                f"with these settings {settings.method} has {size // 4} parameters ({size / 2**30:.0f} GiB), which this"
                " machine cannot hold; choose smaller sizes"
            )
    except AvzslError:
        raise
    except Exception:  # a fault of the method, or of building it without memory: the training will tell
        return


def _train(settings: Settings, benchmark: Benchmark, folder: Path, device: torch.device) -> Result:
    started = time.monotonic()
    kind = METHODS.get(settings.method)
    quirks = _quirks(settings.protocol, benchmark)
    validation_set = benchmark.evaluation(1).to(device)

    def score(method: Method) -> Score:
        return _as_score(validate(method, validation_set, settings.protocol, device=device))

    fitted = fit_stages(
        lambda: kind(settings.config, benchmark.dimensions),
        benchmark.training,
        score,
        StageOptions(
            settings.train,
            settings.seed,
            device,
            folder,
            live_plateau=quirks.schedule_on_validation,
            is_better=partial(is_better, quirks=quirks),
        ),
    )
    _warn_of_validation(fitted)
    card = _card(settings, benchmark, fitted, quirks)
    save_model(folder, fitted.method, card)
    test = benchmark.evaluation(2)
    scores = score_evaluation_set(fitted.method, test, device=device, chunk=settings.protocol.chunk)
    gzsl = judge(scores, test.labels, test.seen, card.bias)
    write_evidence(folder, fitted, test, scores, gzsl, device, settings.protocol.chunk)
    seconds = sum(line["seconds"] for line in fitted.history)
    result = _result(settings, benchmark, fitted, gzsl, quirks)
    result = replace(
        result, device=device.type, versions=versions(), seconds=round(max(seconds, time.monotonic() - started), 1)
    )
    write_result(folder, result)
    # Only now: until the result is written, the state is what a crash would be continued from.
    tidy(folder)
    return result


def _quirks(protocol: ProtocolConfig, benchmark: Benchmark) -> Quirks:
    """The switches as they really were: text options may be set one by one."""
    return replace(
        protocol.quirks,
        text_by_rank=benchmark.text_assignment == "by_sorted_rank",
        text_by_set_order=benchmark.text_lookup == "by_set_order",
    )


def _as_score(found: Validation) -> Score:
    numbers = {"seen": found.gzsl.seen, "unseen": found.gzsl.unseen, "hm": found.gzsl.hm, "zsl": found.gzsl.zsl}
    curve = found.curve
    columns = {name: getattr(curve, name).tolist() for name in ("grid", "seen", "unseen", "hm")}
    record = {
        "bias": found.bias,
        "biases": dict(found.biases),
        "curve": columns | {"best": curve.best},
        "validation": {name: percent(value) for name, value in numbers.items()},
    }
    return Score(found.gzsl.hm, numbers | {"bias": found.bias}, record)


def _warn_of_validation(fitted: Fitted) -> None:
    if fitted.hm == 0:
        warnings.warn(
            "validation HM is 0 in every epoch, so the choice of epoch and bias means nothing;"
            " train longer or check the data",
            stacklevel=3,
        )
    curve = fitted.record["curve"]
    grid, seen, unseen, hm = (torch.tensor(curve[name]).double() for name in ("grid", "seen", "unseen", "hm"))
    warn_if_at_end(BiasCurve(grid, seen, unseen, hm, best=curve["best"]), f"output '{REPORTED}'")


def _card(settings: Settings, benchmark: Benchmark, fitted: Fitted, quirks: Quirks) -> ModelCard:
    trained = set(benchmark.training(2).class_names)
    return ModelCard(
        method=settings.method,
        config=plain(settings.config),
        dimensions=benchmark.dimensions,
        classes=benchmark.classes,
        seen=tuple(name in trained for name in benchmark.classes.names),
        bias=fitted.record["bias"],
        extractor=benchmark.identity,
        benchmark=benchmark.name,
        fingerprint=benchmark.fingerprint,
        family=benchmark.family,
        temporal=benchmark.temporal,
        max_segments=benchmark.max_segments,
        mode=settings.protocol.mode,
        quirks=asdict(quirks),
        seed=settings.seed,
        epochs=fitted.epochs,
        versions=versions(),
    )


def _result(settings: Settings, benchmark: Benchmark, fitted: Fitted, gzsl: Gzsl, quirks: Quirks) -> Result:
    test = benchmark.evaluation(2)
    published, note = _published(settings, benchmark)
    return Result(
        method=settings.method,
        preset=settings.preset,
        benchmark=benchmark.name,
        family=benchmark.family,
        temporal=benchmark.temporal,
        mode=settings.protocol.mode,
        seed=settings.seed,
        seen=percent(gzsl.seen),
        unseen=percent(gzsl.unseen),
        hm=percent(gzsl.hm),
        zsl=percent(gzsl.zsl),
        zsl_chance=percent(zsl_chance(test.seen)),
        bias=gzsl.bias,
        epoch=fitted.epochs,
        validation=fitted.record["validation"],
        counts=_counts(benchmark),
        quirks=asdict(quirks),
        text_assignment=benchmark.text_assignment,
        text_encoder=benchmark.classes.encoder,
        extractor=benchmark.identity.as_dict(),
        fingerprint=benchmark.fingerprint,
        evaluated=clip_hash(test),
        simulated=is_simulated(benchmark),
        published=published,
        published_note=note,
    )


def clip_hash(evaluation: EvaluationSet) -> str:
    """Hash of the names of the judged clips, whatever their order."""
    return hash_bytes(*(name.encode() for name in sorted(evaluation.clip_names)))[:16]


def is_simulated(benchmark: Benchmark) -> bool:
    """Whether the clips were generated by `avzsl world`, or the features by `avzsl simulate`."""
    path = benchmark.root / _EXTRACTION
    record = read_json(path) if path.is_file() else {}
    said = isinstance(record, Mapping) and record.get("simulated") is True
    return said or benchmark.identity.name == SIMULATED


def _counts(benchmark: Benchmark) -> dict[str, int]:
    sizes = {name: len(split) for name, split in benchmark.splits.items()}
    test = benchmark.evaluation(2)
    return sizes | {
        "classes_trained_on": int(test.seen.sum()),
        "classes_unseen": int((~test.seen).sum()),
        "segments_at_most": benchmark.max_segments or 0,
    }


def _published(settings: Settings, benchmark: Benchmark) -> tuple[Mapping[str, Any], str]:
    numbers = settings.published
    if not numbers or benchmark.family != (settings.data.family or benchmark.family):
        return {}, ""
    made_for = (settings.preset or "").removesuffix("_cls")
    if made_for in PUBLISHED_STEMS and made_for != find_dataset(benchmark.root).stem:
        return {}, f"preset {settings.preset} is for another data set, so its published numbers do not compare"
    if is_simulated(benchmark):
        what = "features are simulated" if benchmark.identity.name == SIMULATED else "clips are generated"
        return {}, f"the {what}, so the published numbers do not compare"
    if benchmark.identity.profile == "clean":
        return {}, (
            f"the features were made by {benchmark.identity.name}, the published numbers rest on others,"
            " so they do not compare"
        )
    note = "published numbers come from one run on the features as distributed"
    if "note" in numbers:
        note += f" ({METHODS.get(settings.method).title}: {numbers['note']})"
    if settings.protocol.mode == "clean":
        note += "; this run is in clean mode, --mode reference repeats the published protocol"
    return numbers, note
