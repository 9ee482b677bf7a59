"""A clean benchmark folder to make faults in, and one way to look at what was found."""

from __future__ import annotations

import shutil
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from avzsl.data.splits import load_benchmark
from avzsl.data.verify import Finding, Verification, verify_benchmark
from avzsl.errors import DataError

Expect = Callable[..., Finding]


@pytest.fixture
def folder(toy_benchmark: Path, tmp_path: Path) -> Path:
    """A copy of the toy benchmark, to be damaged."""
    shutil.copytree(toy_benchmark, tmp_path / "Toy")
    return tmp_path / "Toy"


def loads(root: Path, **options: Any) -> str | None:
    """The loader's fingerprint; None when it refuses the folder."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return load_benchmark(root, **options).fingerprint
        except DataError:
            return None


@pytest.fixture
def expect() -> Expect:
    """Check that exactly one thing is found, and that the loader agrees.

    Arguments of the function: the folder; severity, kind and place of the finding; words of its sentence or of its way
    on. `also`: kinds of other errors and warnings that follow from the same fault. `refused`: whether the loader stops
    at it (by default, at an error).
    """

    def check(
        root: Path,
        severity: str,
        kind: str,
        where: str,
        *words: str,
        also: Sequence[str] = (),
        refused: bool | None = None,
        family: str | None = None,
    ) -> Finding:
        found = verify_benchmark(root, family=family)
        of_kind = [f for f in found.findings if f.kind == kind and f.severity == severity]
        assert len(of_kind) == 1, found.findings
        (finding,) = of_kind
        assert finding.where == where
        for word in words:
            assert word in f"{finding.what} > {finding.mend}"
        assert str(root) not in f"{finding.what} {finding.mend}"
        loud = {f.kind for f in found.findings if f.severity != "note"} - ({kind} if severity != "note" else set())
        assert loud == set(also), found.findings
        fingerprint = loads(root, family=family)
        assert (fingerprint is None) == (severity == "error" if refused is None else refused)
        if not found.of("error"):
            assert fingerprint in prints(found)
        return finding

    return check


def prints(found: Verification) -> list[str]:
    """Fingerprints of averaged features."""
    return [facts.averaged["fingerprint"] for facts in found.families if facts.averaged is not None]
