"""What this installation can do, found out by trying; `avzsl doctor` shows it."""

from __future__ import annotations

import importlib.metadata
import platform
import sys
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from typing import Any

from avzsl import __version__, progress
from avzsl.cli import VERBS, _checks, _machine
from avzsl.cli._checks import Check
from avzsl.cli._packages import (
    Requirement,
    install_command,
    installed_version,
    module_of,
    python_bounds,
    read_requirements,
    where_from,
)
from avzsl.cli._probe import Outcome, run

# Extras that a verb cannot do without; the others need the core only.
NEEDS = {
    "demo": ("video", "text", "report"),
    "world": ("video",),
    "extract": ("video", "text"),
    "predict": ("video", "text"),
    "report": ("report",),
}
# What there is without an extra, in words.
WITHOUT = {
    "text": "extract and predict go without it where class names are encoded by --text hash-ngram or come from a file",
    "report": "benchmark writes its tables all the same, without the page",
}
# A round trip that says more than the import of a package.
_TRIED = {"video": ("video", "H.264 and AAC"), "text": ("text", "text encoder")}
# Packages that avzsl does not need, and whose builds for another torch stop `transformers` from loading.
_NEIGHBOURS = ("torchaudio", "torchvision")


@dataclass
class Examination:
    """All checks, and what follows for each verb.

    Attributes:
        about: versions and places.
        checks: in the order in which they are shown.
    """

    about: dict[str, str]
    checks: list[Check] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether everything that the core needs works."""
        return not any(check.vital and check.state in ("missing", "broken") for check in self.checks)

    @property
    def verbs(self) -> dict[str, list[str]]:
        """Verb to what stands in its way: `core` or names of extras."""
        stopped = {check.group for check in self.checks if check.state in ("missing", "broken")}
        core = [] if self.ok else ["core"]
        return {
            verb: [] if verb == "doctor" else [*core, *(extra for extra in NEEDS.get(verb, ()) if extra in stopped)]
            for verb in VERBS
        }

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            **self.about, "ok": self.ok, "verbs": self.verbs, "checks": [asdict(check) for check in self.checks],
        }  # fmt: skip


def examine() -> Examination:
    """Try everything; what fails is a check that says so."""
    about = {
        "avzsl": __version__, "installed": where_from()[0], "python": platform.python_version(),
        "executable": sys.executable, "platform": platform.platform(),
    }  # fmt: skip
    found = Examination(about)
    requirements = _requirements(found)
    names = sorted({requirement.name for requirement in requirements})
    versions = {name: installed_version(name) for name in names}
    modules = {name: module_of(name) for name, version in versions.items() if version is not None}
    neighbours = [name for name in _NEIGHBOURS if installed_version(name) is not None]
    # Without metadata, what the round trips come to is all that can be known.
    extras = list(dict.fromkeys(r.extra for r in requirements if r.extra is not None)) or list(_TRIED)
    tried = [extra for extra in extras if extra in _TRIED and _complete(requirements, versions, extra)]
    jobs = {
        **{("import", name): ("import", module) for name, module in modules.items()},
        **{("import", name): ("import", name) for name in neighbours},
        **{
            (probe, ""): (probe,)
            for probe in ("package", "torch", "cuda", "kernels", "hdf5", *(_TRIED[e][0] for e in tried))
        },
    }
    outcomes = _run_all(jobs)
    found.checks.append(_checks.python(python_bounds()))
    core = [r for r in requirements if r.extra is None]
    found.checks += [_checks.package(r, versions, outcomes, vital=True) for r in core]
    found.checks += _checks.core(outcomes, {check.name: check.mend for check in found.checks})
    for extra in extras:
        own = [r for r in requirements if r.extra == extra]
        found.checks += [_checks.package(r, versions, outcomes) for r in own]
        if extra in tried:
            probe, name = _TRIED[extra]
            found.checks.append(_checks.round_trip(extra, name, outcomes[probe, ""], own, versions))
    found.checks = _checks.blame(
        found.checks, [_checks.neighbour(name, outcomes["import", name]) for name in neighbours]
    )
    found.checks += [*_checks.kernels(outcomes["kernels", ""]), *_checks.machine(outcomes["torch", ""])]
    return found


def _requirements(found: Examination) -> tuple[Requirement, ...]:
    try:
        return read_requirements(importlib.metadata.requires("avzsl") or ())
    except (importlib.metadata.PackageNotFoundError, OSError, ValueError):
        found.checks.append(
            Check(
                "core", "package metadata", "odd", "avzsl is not installed as a package, so what it needs is not known",
                f"install it from its folder: {install_command('-e', '.')}",
            )
        )  # fmt: skip
        return ()


def _complete(requirements: Sequence[Requirement], versions: dict[str, str | None], extra: str) -> bool:
    return all(versions[r.name] is not None for r in requirements if r.extra == extra)


def _run_all(jobs: dict[tuple[str, str], tuple[str, ...]]) -> dict[tuple[str, str], Outcome]:
    """Some children at a time: most of them wait for the disk."""
    futures: dict[tuple[str, str], Future[Outcome]] = {}
    with ThreadPoolExecutor(max_workers=min(4, _machine.usable_cores() + 1)) as pool:
        for key, job in jobs.items():
            futures[key] = pool.submit(run, *job)
        with progress.task("trying", len(jobs)) as running:
            outcomes = {}
            for key, future in futures.items():
                outcomes[key] = future.result()
                running.advance(note=" ".join(jobs[key]))
    return outcomes
