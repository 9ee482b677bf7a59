"""What `avzsl doctor` tries in a process of its own, so that a package that crashes or hangs takes only that down.

`run` is called by the doctor; `answer` is what the child does. A probe returns plain JSON values or raises.
"""

from __future__ import annotations

import importlib
import json
import math
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

# The child sees the modules that this process would see, whatever its working directory.
_CODE = "import sys; sys.path[:] = {path!r}; from avzsl.cli._probe import answer; answer({name!r}, {arguments!r})"
_MARK = "\x1eavzsl "
# What our verbs take from a package whose bare import loads next to nothing.
_DEEP = {
    "transformers": ("transformers", "AutoModel", "AutoTokenizer", "BertModel"),
    "sklearn": ("sklearn.manifold", "TSNE"),
    "matplotlib": ("matplotlib.figure", "Figure"),
}
_LONGEST = 200


@dataclass(frozen=True)
class Outcome:
    """What a probe came to.

    Attributes:
        value: what it returned; empty when it failed.
        error: why it failed, on one line; None when it did not.
        seconds: how long it took.
    """

    value: Mapping[str, Any] = field(default_factory=dict)
    error: str | None = None
    seconds: float = 0.0


def run(name: str, *arguments: str, limit: float = 120.0) -> Outcome:
    """Run a probe in a child process.

    Args:
        name: key of `PROBES`.
        arguments: its arguments.
        limit: seconds it may take.
    """
    code = _CODE.format(path=sys.path, name=name, arguments=list(arguments))
    started = time.monotonic()
    try:
        done = subprocess.run(
            [sys.executable, "-c", code], stdin=subprocess.DEVNULL, capture_output=True, timeout=limit, check=False
        )
    except subprocess.TimeoutExpired:
        return Outcome(error=f"takes more than {limit:g} s", seconds=limit)
    except OSError as error:
        return Outcome(error=f"no child process can be started ({error})")
    seconds = time.monotonic() - started
    said = done.stdout.decode("utf-8", "replace").rpartition(_MARK)[2]
    try:
        answered = json.loads(said)
    except ValueError:
        return Outcome(error=_last_words(done.returncode, done.stderr.decode("utf-8", "replace")), seconds=seconds)
    return Outcome(answered.get("value", {}), answered.get("error"), seconds)


def _last_words(code: int, stderr: str) -> str:
    """Of a child that died without an answer."""
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    how = f"dies of signal {-code}" if code < 0 else f"ends with exit code {code}"
    return _short(f"{how}{': ' if lines else ''}{lines[-1] if lines else ''}")


def answer(name: str, arguments: list[str]) -> None:
    """Run a probe here and print what it came to; only the child calls this."""
    try:
        said: dict[str, Any] = {"value": PROBES[name](*arguments)}
    except BaseException as error:  # a package may even exit
        said = {"error": _short(f"{type(error).__name__}: {error}")}
    print(f"{_MARK}{json.dumps(said)}", flush=True)


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _LONGEST else f"{line[: _LONGEST - 3]}..."


def _import(module: str) -> dict[str, Any]:
    """A package as our verbs use it."""
    place, *names = _DEEP.get(module, (module,))
    importlib.import_module(module)
    loaded = importlib.import_module(place)
    for name in names:
        getattr(loaded, name)
    return {}


def _package() -> dict[str, Any]:
    """All of avzsl that the core needs, and the data files that lie beside its modules."""
    from avzsl.config import preset_names
    from avzsl.methods import METHODS

    importlib.import_module("avzsl.api")
    presets = sum(len(preset_names(name)) for name in METHODS.names())
    if not presets:
        raise FileNotFoundError("the preset files are missing")
    return {"methods": len(METHODS.names()), "presets": presets}


def _torch() -> dict[str, Any]:
    """A product and its gradient on the CPU, against numpy."""
    import numpy as np
    import torch

    generator = torch.Generator().manual_seed(0)
    a, b = (torch.randn(96, 96, generator=generator, requires_grad=True) for _ in range(2))
    product = a @ b
    (gradient,) = torch.autograd.grad(product.sum(), a)
    expected = np.broadcast_to(b.detach().numpy().sum(axis=1), (96, 96))
    if not np.allclose(gradient.numpy(), expected, atol=1e-3):
        raise ArithmeticError("a gradient on the CPU is wrong")
    if not np.allclose(product.detach().numpy(), a.detach().numpy() @ b.detach().numpy(), atol=1e-3):
        raise ArithmeticError("a matrix product on the CPU is wrong")
    return {
        "threads": torch.get_num_threads(), "capability": torch.backends.cpu.get_cpu_capability(),
        "cuda": torch.version.cuda,
    }  # fmt: skip


def _cuda() -> dict[str, Any]:
    """Every CUDA device that torch sees, and whether it computes what the CPU computes."""
    import torch

    devices = []
    for number in range(torch.cuda.device_count() if torch.cuda.is_available() else 0):
        about = torch.cuda.get_device_properties(number)
        try:
            error = _compute(f"cuda:{number}")
        except Exception as failure:
            error = _short(f"{type(failure).__name__}: {failure}")
        devices.append({"name": about.name, "memory": about.total_memory, "error": error})
    return {"devices": devices, "build": torch.version.cuda}


def _compute(device: str) -> str | None:
    """What is wrong with a small product on a device; None when nothing is."""
    import torch

    a = torch.randn(128, 128, generator=torch.Generator().manual_seed(0))
    there = (a.to(device) @ a.to(device)).cpu()
    # Reduced-precision products (TF32) are off by some 1e-3 of the size of the numbers.
    return None if torch.allclose(there, a @ a, atol=0.1, rtol=1e-2) else "a matrix product on it is wrong"


def _kernels() -> dict[str, Any]:
    """The compiled spiking layers: compiled if they are not there yet, loaded, compared with the plain ones.

    And who multiplies matrices.
    """
    from avzsl.nn import compiled, products

    used, said = compiled.status()
    return {"used": used, "said": said, "products": products.status()[1]}


def _hdf5() -> dict[str, Any]:
    """Numbers and names to a file and back."""
    import h5py
    import numpy as np

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "probe.h5"
        rows = np.arange(12, dtype=np.float32).reshape(3, 4)
        with h5py.File(path, "w") as file:
            file["data"] = rows
            file.create_dataset("video_urls", data=["a", "ä", "猫"], dtype=h5py.string_dtype("utf-8"))
        with h5py.File(path) as file:
            names = [name.decode("utf-8") for name in file["video_urls"][()]]
            if not np.array_equal(file["data"][()], rows) or names != ["a", "ä", "猫"]:
                raise ArithmeticError("a file is read back differently")
    return {"version": h5py.version.hdf5_version}


def _video() -> dict[str, Any]:
    """One second of H.264 and AAC to a file and back."""
    import numpy as np

    from avzsl.media.decode import read_clip
    from avzsl.media.encode import write_clip

    frames = np.zeros((12, 64, 64, 3), np.uint8)
    frames[:, 16:48, 16:48, 0] = 200
    tone = 0.5 * np.sin(2 * math.pi * 440 * np.arange(16000) / 16000)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "probe.mp4"
        write_clip(path, frames, 12, tone.astype(np.float32), 16000)
        clip = read_clip(path, frame_rate=12, size=64, audio_rate=16000)
    if clip.frames is None or len(clip.frames) < 10 or clip.frames[5, 32, 32, 0] < 150:
        raise ArithmeticError("an H.264 picture is read back differently")
    if clip.audio is None or not 0.2 < float(np.abs(clip.audio).max()) < 1:
        raise ArithmeticError("AAC sound is read back differently")
    return {}


def _text() -> dict[str, Any]:
    """The weights of the sentence encoder, and one name through it."""
    from avzsl.features.text import create_text_encoder

    vectors = create_text_encoder("minilm").encode(["red ball"]).vectors
    if abs(float(vectors.norm()) - 1) > 1e-3:
        raise ArithmeticError("a class vector is not of unit length")
    return {"columns": vectors.shape[1]}


PROBES: dict[str, Callable[..., dict[str, Any]]] = {
    "import": _import, "package": _package, "torch": _torch, "cuda": _cuda, "kernels": _kernels, "hdf5": _hdf5,
    "video": _video, "text": _text,
}  # fmt: skip
