"""The checks of `avzsl doctor`: what an outcome means, in words, and how to mend it."""

from __future__ import annotations

import os
import platform
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from avzsl.cli import _machine
from avzsl.cli._machine import GIB
from avzsl.cli._packages import Requirement, extra_command, install_command, installed_version, where_from
from avzsl.cli._probe import Outcome
from avzsl.isolation import memory_is_limited

# What a check came to. "odd" works, but is probably not meant.
STATES = ("ok", "odd", "missing", "broken")
_LEAST_DISK, _LEAST_MEMORY = 2 * GIB, 2 * GIB
Outcomes = Mapping[tuple[str, str], Outcome]


@dataclass(frozen=True)
class Check:
    """One thing that was looked at.

    Attributes:
        group: `"core"`, `"machine"` or the name of an extra.
        name: what was looked at.
        state: one of `STATES`.
        said: what was found.
        mend: a command or a sentence; empty when nothing needs to be done.
        vital: whether the core cannot do without it.
    """

    group: str
    name: str
    state: str
    said: str
    mend: str = ""
    vital: bool = False


def python(bounds: str) -> Check:
    """Is this Python new enough?"""
    version = platform.python_version()
    if Requirement("Python", bounds, None).allows(version):
        return Check("core", "Python", "ok", version)
    mend = "make a new environment with a Python that is new enough, and install avzsl there"
    return Check("core", "Python", "broken", f"{version} is here, {bounds} is asked for", mend, vital=True)


def package(
    requirement: Requirement,
    versions: Mapping[str, str | None],
    outcomes: Outcomes,
    *,
    vital: bool = False,
) -> Check:
    name, version = requirement.name, versions[requirement.name]
    group = requirement.extra or "core"
    if version is None:
        mend = install_command(requirement.text) if requirement.extra is None else extra_command(requirement.extra)
        return Check(group, name, "missing", "is not installed", mend, vital)
    error = outcomes["import", name].error
    if error is not None:
        return Check(
            group, name, "broken", f"{version} cannot be imported: {error}", _again(versions, requirement), vital
        )
    if not requirement.allows(version):
        mend = install_command("--upgrade", requirement.text)
        return Check(group, name, "odd", f"{version} is installed, {requirement.bounds} is asked for", mend)
    return Check(group, name, "ok", version)


def _again(versions: Mapping[str, str | None], *requirements: Requirement) -> str:
    """The command that installs packages anew and leaves all others alone."""
    # The registry's own build of torch is a far larger one, for NVIDIA cards.
    cpu = any((versions[r.name] or "").endswith("+cpu") for r in requirements)
    index = ("--index-url", "https://download.pytorch.org/whl/cpu") if cpu else ()
    return install_command("--force-reinstall", "--no-deps", *(r.text for r in requirements), *index)


def core(outcomes: Outcomes, mends: Mapping[str, str]) -> list[Check]:
    """What the core must be able to do, beyond being there; `mends` is how packages that are broken are mended."""
    package, torch, hdf5 = (outcomes[name, ""] for name in ("package", "torch", "hdf5"))
    checks = []
    if torch.error is None:
        threads = torch.value["threads"]
        said = f"works: {threads} thread{'' if threads == 1 else 's'}, {torch.value['capability']}"
        checks.append(Check("core", "computing on the CPU", "ok", said))
    else:
        mend = mends.get("torch") or install_command("--force-reinstall", "torch")
        checks.append(Check("core", "computing on the CPU", "broken", torch.error, mend, vital=True))
    checks += _cards(outcomes["cuda", ""], torch)
    if hdf5.error is None:
        said = f"HDF5 {hdf5.value['version']} writes and reads"
        if not memory_is_limited():
            said += "; files of others are read in a process with a limit on time, but none on memory, on this system"
        checks.append(Check("core", "feature files", "ok", said))
    else:
        mend = mends.get("h5py") or install_command("--force-reinstall", "h5py")
        checks.append(Check("core", "feature files", "broken", f"HDF5: {hdf5.error}", mend, vital=True))
    if package.error is None:
        said = f"{package.value['methods']} methods with {package.value['presets']} presets"
        checks.append(Check("core", "avzsl itself", "ok", said))
    else:
        # A broken package below it is told already.
        again = install_command("--force-reinstall", "--no-deps", *where_from()[1].split(" ", 1))
        mend = "" if any(mends.values()) else again
        checks.append(Check("core", "avzsl itself", "broken", package.error, mend, vital=True))
    return checks


def _cards(outcome: Outcome, torch: Outcome) -> list[Check]:
    """Graphics cards: those torch sees, and those it does not."""
    if torch.error is not None:
        return []  # nothing can be said while torch itself is broken
    if outcome.error is not None:
        said, mend = f"asking for graphics cards {outcome.error}", "check the driver; --device cpu goes without a card"
        return [Check("core", "graphics card", "broken", said, mend, vital=True)]
    cards = _machine.nvidia_cards()
    driver = f", driver {cards[0].rsplit(',', 1)[-1].strip()}" if cards else ""
    checks = []
    for number, device in enumerate(outcome.value["devices"]):
        name = f"cuda:{number}"
        about = f"{device['name']}, {device['memory'] / GIB:.0f} GiB{driver}"
        if device["error"] is None:
            checks.append(Check("core", name, "ok", f"{about}, computes"))
        else:
            checks.append(
                Check(
                    "core", name, "broken", f"{about}: {device['error']}",
                    "install the build of torch for this card and driver (https://pytorch.org/get-started/locally); "
                    "until then give --device cpu",
                    vital=True,
                )
            )  # fmt: skip
    if checks:
        return checks
    if not cards:
        return [Check("core", "graphics card", "ok", "none; everything runs on the CPU")]
    why = "this torch is built for the CPU only" if outcome.value["build"] is None else "torch cannot use it"
    return [
        Check(
            "core", "graphics card", "odd", f"{cards[0]} is there, but {why}; everything runs on the CPU",
            "install the build of torch for this driver: https://pytorch.org/get-started/locally",
        )
    ]  # fmt: skip


def round_trip(
    extra: str, name: str, outcome: Outcome, own: Sequence[Requirement], versions: Mapping[str, str | None]
) -> Check:
    if outcome.error is None:
        said = f"works, {outcome.value['columns']} columns" if "columns" in outcome.value else "written and read back"
        return Check(extra, name, "ok", said)
    if outcome.error.startswith("MissingExtraError"):
        return Check(extra, name, "missing", outcome.error.partition(": ")[2], extra_command(extra))
    mend = _again(versions, *own) if own else extra_command(extra)
    return Check(extra, name, "broken", outcome.error, mend)


def neighbour(name: str, outcome: Outcome) -> Check:
    """torchaudio and torchvision: not needed, but a wrong build of them breaks what is."""
    version = installed_version(name)
    if outcome.error is None:
        return Check("text", name, "ok", f"{version}, not needed, fits torch")
    return Check(
        "text", name, "broken",
        f"{version} does not fit torch, and its presence can stop transformers from loading: {outcome.error}",
        f"{install_command(name, uninstall=True)} (avzsl does not need it)",
    )  # fmt: skip


def blame(checks: list[Check], neighbours: Sequence[Check]) -> list[Check]:
    """A wrong neighbour is what to mend first in the extra that it breaks; where it breaks none, it is odd only."""
    wrong = next((check for check in neighbours if check.state == "broken"), None)
    if wrong is None:
        return [*checks, *neighbours]
    hurt = [check for check in checks if (check.group, check.state) == (wrong.group, "broken")]
    if not hurt:
        neighbours = [replace(check, state="odd") if check.state == "broken" else check for check in neighbours]
    return [*(replace(check, mend=wrong.mend) if check in hurt else check for check in checks), *neighbours]


def _safely(check: Callable[[Outcome], Check], torch: Outcome) -> Check:
    try:
        return check(torch)
    except Exception as error:  # a system that answers in an unforeseen way is no reason to stop
        return Check("machine", check.__name__.strip("_"), "odd", f"cannot be found out ({error})")


def _temp(_: Outcome) -> Check:
    error = _machine.try_temp()
    if error is not None:
        mend = "set TMPDIR to a folder you may write to, or free some space"
        return Check("machine", "temp folder", "broken", f"cannot be written: {error}", mend, vital=True)
    return Check("machine", "temp folder", "ok", f"{tempfile.gettempdir()} can be written")


def _disk(_: Outcome) -> Check:
    places = {"here": Path.cwd(), "temp": Path(tempfile.gettempdir())}
    free = {name: size for name, size in ((n, _machine.free_disk(p)) for n, p in places.items()) if size is not None}
    said = ", ".join(
        f"{size / GIB:.1f} GiB free {'in temp' if name == 'temp' else name}" for name, size in free.items()
    )
    if min(free.values(), default=_LEAST_DISK) < _LEAST_DISK:
        return Check("machine", "disk", "odd", said, "free some space: features and runs need some GiB")
    return Check("machine", "disk", "ok", said or "the system does not say")


def _memory(_: Outcome) -> Check:
    total, free = _machine.memory()
    if total is None:
        return Check("machine", "memory", "ok", "the system does not say")
    said = f"{total / GIB:.1f} GiB{'' if free is None else f', {free / GIB:.1f} GiB free'}"
    if (total if free is None else free) < _LEAST_MEMORY:
        return Check("machine", "memory", "odd", said, "close other programs, or give a smaller batch_size")
    return Check("machine", "memory", "ok", said)


def _threads(torch: Outcome) -> Check:
    cores = _machine.usable_cores()
    odd = _machine.odd_threads(os.environ, cores)
    threads = torch.value.get("threads", 1)
    if threads > cores:
        odd.append(f"torch uses {threads} threads, but only {cores} core{'' if cores == 1 else 's'} may be used")
    said = f"{cores} of {os.cpu_count()}" + "".join(
        f", {name} = {os.environ[name]}" for name in _machine.THREADS if name in os.environ
    )
    if odd:
        mend = f"export OMP_NUM_THREADS={cores} MKL_NUM_THREADS={cores} (fewer beside other programs)"
        return Check("machine", "cores", "odd", f"{said}: {'; '.join(odd)}", mend)
    return Check("machine", "cores", "ok", said)


def kernels(outcome: Outcome) -> list[Check]:
    """Are the compiled spiking layers used, and who multiplies matrices? Nothing needs the one or the other."""
    if outcome.error is None and outcome.value["used"]:
        found = Check("machine", "kernels", "ok", outcome.value["said"])
    else:
        found = _without_kernels(outcome)
    products = outcome.value.get("products", "") if outcome.error is None else ""
    return [found, *([Check("machine", "products", "ok", products)] if products else [])]


def _without_kernels(outcome: Outcome) -> Check:
    mend = "install a C compiler (Debian and Ubuntu: apt install gcc); without one, spiking layers train more slowly"
    return Check("machine", "kernels", "odd", outcome.error or outcome.value["said"], mend)


def machine(torch: Outcome) -> list[Check]:
    """What stands around the program."""
    return [_safely(check, torch) for check in (_temp, _disk, _memory, _threads)]
