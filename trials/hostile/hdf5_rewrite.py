"""Valid HDF5 that is not what a feature file should be."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from trials.hostile.mutate import ODD_NUMBERS, ODD_TEXTS, Random

Change = Callable[[Any, Random], None]


def _pick(random: Random, choices: Any) -> Any:
    return choices[int(random.integers(0, len(choices)))]


def _name(random: Random) -> str:
    return str(_pick(random, ("data", "data", "video_urls", "offsets")))


def _replace(file: Any, name: str, **values: Any) -> None:
    if name in file:
        del file[name]
    file.create_dataset(name, **values)


def other_type(file: Any, random: Random) -> None:
    """Numbers or names of a type that nobody expects."""
    kinds = ("i1", "u1", ">f4", ">i8", "f2", "f8", "c8", "S5", "V7", "?", "u8", [("a", "f4"), ("b", "S3")])
    kind, shape = _pick(random, kinds), _pick(random, ((3, 4), (3,), (), (3, 4, 2), (0, 4), (3, 0), (1, 4)))
    _replace(file, _name(random), data=np.zeros(shape, np.dtype(kind)))


def special_type(file: Any, random: Random) -> None:
    """References, enumerations, opaque bytes, sequences of any length, arrays in cells."""
    name, kind = _name(random), int(random.integers(0, 6))
    if kind == 0:
        _replace(file, name, data=np.array([file.ref] * 3, dtype=h5py.ref_dtype), dtype=h5py.ref_dtype)
    elif kind == 1:
        _replace(file, name, data=[0, 1, 1], dtype=h5py.enum_dtype({"a": 0, "b": 1}))
    elif kind == 2:
        _replace(file, name, shape=(3,), dtype=h5py.vlen_dtype(np.dtype("f4")))
        file[name][0] = np.arange(5, dtype="f4")
    elif kind == 3:
        _replace(file, name, shape=(3,), dtype=np.dtype((np.float32, (4,))))
    elif kind == 4:
        _replace(file, name, data=h5py.Empty("f4"))
    else:
        _replace(file, name, data=np.array(["a", "b", "c"], dtype=object), dtype=h5py.string_dtype("ascii"))


def other_shape(file: Any, random: Random) -> None:
    """Right type, wrong number of rows or columns."""
    shape = _pick(random, ((2, 4), (4, 4), (3, 5), (12,), (1, 3, 4), (3, 4, 1), (1, 1), (30, 4), (3, 4000)))
    _replace(file, _name(random), data=np.ones(shape, np.float32))


def huge(file: Any, random: Random) -> None:
    """A claim that no memory holds, stored in a few bytes."""
    shape = _pick(random, ((2**40, 4), (3, 2**35), (2**20, 2**20), (2**31, 1), (2**28,), (50_000, 4000)))
    name, chunks = _name(random), tuple(min(n, 1000) for n in shape)
    kind = h5py.string_dtype() if random.random() < 0.2 else np.dtype(_pick(random, ("f4", "f8", "u1", "S9999")))
    _replace(file, name, shape=shape, dtype=kind, chunks=chunks, maxshape=(None,) * len(shape))


def not_finite(file: Any, random: Random) -> None:
    """NaN, infinity, numbers that float32 does not know."""
    data = np.asarray(file["data"], np.float64)
    data[int(random.integers(0, len(data)))] = _pick(random, (np.nan, np.inf, -np.inf, 1e300, 1e-320))
    _replace(file, "data", data=data)


def odd_offsets(file: Any, random: Random) -> None:
    """Offsets that fall, repeat or lead out of the file."""
    numbers = _pick(
        random, ([0, 1, 3, 7], [0, 3, 1, 6], [1, 2, 3, 6], [0, 0, 3, 6], [0, -5, 3, 6], [6, 3, 1, 0], [0] * 4)
    )
    _replace(file, "offsets", data=np.array(numbers).astype(_pick(random, ("i8", "i4", "u8", "f8"))))


def odd_names(file: Any, random: Random) -> None:
    """Clip names that are long, empty, alike, not text."""
    texts = [_pick(random, ODD_TEXTS) for _ in range(3)]
    if random.random() < 0.3:
        texts = [texts[0]] * 3
    raw = [text.encode("utf-8", "surrogatepass").replace(b"\x00", b"0") for text in texts]
    if random.random() < 0.4:
        raw[0] = _pick(random, (b"\xff\xfe", b"\xc3", b"\xed\xa0\x80", b"a" * 2_000_000))
    _replace(file, "video_urls", data=raw, dtype=h5py.string_dtype(_pick(random, ("utf-8", "ascii"))))


def many_names(file: Any, random: Random) -> None:
    """Far more names than rows."""
    _replace(file, "video_urls", data=["x"] * int(_pick(random, (4, 1000, 50_000))), dtype=h5py.string_dtype())


def odd_attributes(file: Any, random: Random) -> None:
    """An extractor that is no JSON, or not the one; many or large attributes."""
    text = str(file.attrs.get("extractor", "{}"))
    cut = int(random.integers(0, len(text) + 1))
    values: tuple[Any, ...] = (
        "", text[:cut], "[" * 5000, "{}", '{"name": 3}', "null", "NaN", text.replace("16000", "1e999"),
        text.replace('"version": 1', f'"version": {_pick(random, ODD_NUMBERS)}'), b"\xff\xfe", 7, [1.5, 2.5],
        h5py.Empty("f4"), text.replace("hostile", "a" * 60_000), text.replace("{", '{"name": "twice", ', 1),
    )  # fmt: skip
    if random.random() < 0.2:
        for number in range(200):
            file.attrs[f"a{number}"] = number
    file.attrs[_pick(random, ("extractor", "extractor", "step_seconds", "profile"))] = _pick(random, values)


def links(file: Any, random: Random) -> None:
    """Links in a circle, to nothing, to another file or device."""
    name = _name(random)
    if name in file:
        del file[name]
    file[name] = _pick(
        random,
        (
            h5py.SoftLink(f"/{name}"), h5py.SoftLink("/nothing/there"), h5py.SoftLink("/"),
            h5py.SoftLink("/" + "a/" * 900),
            h5py.ExternalLink("/etc/passwd", "/data"), h5py.ExternalLink("/dev/zero", "/data"),
            h5py.ExternalLink("", "/data"), h5py.ExternalLink("a" * 3000, "/data"),
        ),
    )  # fmt: skip


def outside(file: Any, random: Random) -> None:
    """Rows that lie in other files."""
    if random.random() < 0.5:
        place = _pick(random, ("/etc/passwd", "/dev/zero", "/nonexistent"))
        _replace(file, "data", shape=(3, 4), dtype="f4", external=[(place, 0, 48)])
        return
    layout = h5py.VirtualLayout((3, 4), "f4")
    layout[:] = h5py.VirtualSource(_pick(random, (".", "/nonexistent.h5")), "data", shape=(3, 4))
    if "data" in file:
        del file["data"]
    file.create_virtual_dataset("data", layout)


def nesting(file: Any, random: Random) -> None:
    """Groups in groups, a group in the place of a table, many members, a circle of hard links."""
    kind, place = int(random.integers(0, 4)), file
    if kind == 0:
        for _ in range(300):
            place = place.create_group("g")
    elif kind == 1:
        name = _name(random)
        if name in file:
            del file[name]
        file.create_group(name)
    elif kind == 2:
        for number in range(500):
            file[f"{number}" * 20] = number
        del file[_pick(random, ("data", "video_urls"))]
    else:
        group = file.create_group("circle")
        group["circle"] = group
        group["root"] = file["/"]


def missing(file: Any, random: Random) -> None:
    """A table is gone."""
    name = _name(random)
    if name in file:
        del file[name]


def filters(file: Any, random: Random) -> None:
    """Rows behind every filter there is, and a filter that nobody has."""
    packed = _pick(random, ({"compression": "lzf"}, {"compression": "gzip", "compression_opts": 9}, {"scaleoffset": 1},
                            {"fletcher32": True}, {"shuffle": True, "compression": "gzip"}))  # fmt: skip
    _replace(file, "data", data=np.ones((3, 4), "f4" if "scaleoffset" not in packed else "i4"), chunks=True, **packed)


CHANGES: tuple[Change, ...] = (
    other_type, special_type, other_shape, huge, not_finite, odd_offsets, odd_names, many_names, odd_attributes, links,
    outside, nesting, missing, filters,
)  # fmt: skip


def rewrite(item: tuple[bytes, tuple[int, ...], Path]) -> tuple[str, bytes]:
    """The file with one thing in it changed by the HDF5 library itself, and the name of the change.

    Args:
        item: content, seed, and a file to work in. One argument, because a child calls this: the library may also hang
            or crash when it writes.
    """
    content, seed, scratch = item
    random = np.random.default_rng(seed)
    change = CHANGES[int(random.integers(0, len(CHANGES)))]
    scratch.write_bytes(content)
    try:
        with h5py.File(scratch, "r+") as file:
            change(file, random)
    except (OSError, ValueError, TypeError, RuntimeError, KeyError):
        pass  # the library refuses to write that; what it left is a test too
    return change.__name__, scratch.read_bytes()
