"""Compile `spiking.c` once per machine and load it.

The library lies in the user's cache folder under a name that is a hash of the source, the compiler, its options and the
processor, so that an update, another compiler or a home folder shared between machines never meets an old one.
"""

from __future__ import annotations

import contextlib
import ctypes
import hashlib
import os
import platform
import shutil
import stat
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from avzsl.errors import OutputError
from avzsl.files import hash_bytes, write_text

SOURCE = Path(__file__).with_name("spiking.c")
SWITCH = "AVZSL_KERNELS"
# Forward passes must round as PyTorch's separate operations do: no contraction to fused multiply-adds.
OPTIONS = ("-O3", "-std=gnu11", "-ffp-contract=off", "-fno-math-errno", "-fPIC", "-shared")
# Tried in this order: OpenMP and this processor's own instructions are wanted, not needed.
EXTRAS = (("-march=native", "-fopenmp"), ("-march=native",), ("-fopenmp",), ())
_LIMIT = 120.0  # seconds for one attempt
_TEMPORARY = "avzsl-kernels-"


@dataclass(frozen=True)
class Build:
    """What came of it.

    Attributes:
        library: loaded, or None.
        said: a sentence for `avzsl doctor`.
        threads: whether the library can use more than one thread.
    """

    library: ctypes.CDLL | None
    said: str
    threads: bool = False


def cache_folder() -> Path:
    """Where compiled libraries are kept."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    if not os.path.isabs(base):  # to be ignored, says the specification that names the variable
        base = os.path.join(os.path.expanduser("~"), ".cache")
    return Path(base) / "avzsl" / "kernels"


def build() -> Build:
    """Find the library in the cache or compile it; whatever goes wrong becomes a sentence, never an exception."""
    if os.environ.get(SWITCH, "").lower() in ("off", "0", "no", "false"):
        return Build(None, f"switched off by {SWITCH}")
    if os.name != "posix":
        return Build(None, "not tried: only for Linux and macOS")
    compiler = os.environ.get("CC") or shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None or shutil.which(compiler) is None:
        return Build(None, "no C compiler found (cc, gcc, clang, or the one that CC names)")
    folder = None
    try:
        key = _key(compiler)
        folder = _own_folder()
        for extras in EXTRAS:
            found = folder / f"spiking-{hashlib.sha256(f'{key} {extras}'.encode()).hexdigest()[:20]}.so"
            with contextlib.suppress(OSError):
                if found.exists() and _only_mine(found) and _intact(found):
                    return Build(ctypes.CDLL(str(found)), f"{found.name}, from the cache", "-fopenmp" in extras)
            said = _compile(compiler, extras, found)
            if said is None:
                return Build(ctypes.CDLL(str(found)), f"compiled by {compiler}", "-fopenmp" in extras)
        return Build(None, f"{compiler} failed: {said}")
    except (OSError, subprocess.SubprocessError) as error:
        return Build(None, f"not compiled: {error}")
    finally:
        if folder is not None and folder.name.startswith(_TEMPORARY):
            shutil.rmtree(folder, ignore_errors=True)  # what was loaded stays loaded


def _key(compiler: str) -> str:
    asked = [compiler, "--version"]
    version = subprocess.run(asked, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=_LIMIT).stdout
    return "\n".join((SOURCE.read_text(encoding="utf-8"), version, " ".join(OPTIONS), platform.machine(), _processor()))


def _processor() -> str:
    """What -march=native looks at: the first processor's flags, or its name where the system lists none."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines():
            if line.lower().startswith(("flags", "features")):
                return line
    return platform.processor()


def _own_folder() -> Path:
    """The cache folder, or a new temporary one where that cannot be written or others could put a library into it."""
    folder = cache_folder()
    with contextlib.suppress(OSError):
        if folder.is_absolute():  # a user without a home has none
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            if _only_mine(folder) and os.access(folder, os.W_OK | os.X_OK):
                return folder
    return Path(tempfile.mkdtemp(prefix=_TEMPORARY))


def _only_mine(path: Path) -> bool:
    about = path.stat()
    return about.st_uid == os.getuid() and not about.st_mode & (stat.S_IWGRP | stat.S_IWOTH)


def _digest(path: Path) -> Path:
    """Where a library's digest lies."""
    return path.with_suffix(".sha256")


def _intact(path: Path) -> bool:
    """Whether a library is all there: loading one that was cut short would end the process."""
    return _digest(path).read_text(encoding="utf-8") == hash_bytes(path.read_bytes())


def _compile(compiler: str, extras: tuple[str, ...], target: Path) -> str | None:
    """None when `target` is there, else the first line the compiler said."""
    handle, name = tempfile.mkstemp(suffix=".so", dir=target.parent)
    os.close(handle)
    try:
        command = [compiler, *OPTIONS, *extras, str(SOURCE), "-o", name, "-lm"]
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=_LIMIT)
        if done.returncode:
            return next(iter(done.stderr.strip().splitlines()), f"exit code {done.returncode}")
        os.chmod(name, 0o700)  # whatever the linker made of it
        ctypes.CDLL(name)  # one that does not load must not reach the cache
        digest = hash_bytes(Path(name).read_bytes())
        os.replace(name, target)
        with contextlib.suppress(OutputError):  # without it, the library is compiled again
            write_text(_digest(target), digest)
        return None
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name)
