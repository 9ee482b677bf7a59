"""Give mutated feature files, videos, settings and models to avzsl and count what becomes of them.

Every input is decided by the seed and its number. Counts are written after every 1000 inputs; the same command goes on
from there. The exit code is 1 when there is a fault.

    python -m trials.hostile --hdf5 20000 --media 10000 --settings 50000 --models 100000 --seed 0
    python -m trials.hostile --hdf5 0 --only hdf5:1234
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
SUBJECTS = ("hdf5", "media", "settings", "models")


def main() -> int:
    """Run what was asked for and print the counts."""
    parser = argparse.ArgumentParser(prog="python -m trials.hostile", description=__doc__.split("\n")[0])
    for name in SUBJECTS:
        parser.add_argument(f"--{name}", type=int, default=0, metavar="N", help=f"mutated {name} files")
    parser.add_argument("--seed", type=int, default=0, help="of all damage")
    parser.add_argument("--workers", type=int, default=1, help="kinds of files that are tried at a time")
    parser.add_argument("--out", type=Path, default=Path("runs/hostile"), help="counts and failing inputs")
    parser.add_argument("--minutes", type=float, default=float("inf"), help="stop in time; the same command goes on")
    parser.add_argument("--only", metavar="SUBJECT:NUMBER", help="run one input again in this process")
    parser.add_argument("--json", action="store_true", help="print all counts, examples and faults as JSON")
    given = parser.parse_args()
    if given.only:
        return _only(given.only, given.seed, given.out)
    from trials.hostile.runner import run_subject, summary

    until = time.monotonic() + 60 * given.minutes
    wanted = {name: getattr(given, name) for name in SUBJECTS if getattr(given, name)}
    makers = {name: _maker(name) for name in wanted}  # import before any thread starts

    def run(name: str) -> dict[str, Any]:
        return run_subject(makers[name], name, wanted[name], given.seed, given.out, until)

    with ThreadPoolExecutor(max(1, given.workers)) as pool:
        scores = list(pool.map(run, wanted))
    print(json.dumps(scores, indent=1) if given.json else "\n".join(summary(scores)))
    return int(any(score["faults"] for score in scores))


def _maker(name: str) -> type:
    return importlib.import_module(f"trials.hostile.{name}").Subject  # type: ignore[no-any-return]


def _only(place: str, seed: int, out: Path) -> int:
    import shutil

    name, _, number = place.partition(":")
    folder = out / "only"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for attempt in _maker(name)(folder).attempts(range(int(number), int(number) + 1), seed):
        print(attempt)
    return 0


if __name__ == "__main__":
    sys.exit(main())
