"""`python -m benchmarks`: measure, and write bench.json, bench.md, bench.png and bench.svg."""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import torch

from avzsl.errors import AvzslError
from avzsl.files import write_text
from benchmarks.context import Context, Size
from benchmarks.plot import draw
from benchmarks.sections import SECTIONS
from benchmarks.suite import run
from benchmarks.tables import as_markdown


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the suite; 0 when every section was measured, 1 when one failed, 2 for wrong arguments."""
    given = parse(arguments)
    size: Size = "tiny" if given.tiny else "quick" if given.quick else "full"
    try:
        with tempfile.TemporaryDirectory(prefix="avzsl-bench-") as scratch:
            context = Context(size, given.threads or torch.get_num_threads(), given.seed, Path(scratch))
            only = [name.strip() for name in given.only.split(",") if name.strip()]
            bench = run(given.out, context, SECTIONS, only=only, fresh=given.fresh, say=_say)
        page = as_markdown(bench)
        write_text(given.out / "bench.md", page)
        draw(bench, given.out)
    except AvzslError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"stopped; finished sections are in {given.out}, the same command goes on", file=sys.stderr)
        return 130
    print(json.dumps(bench.as_dict(), indent=2) if given.json else page)
    print(f"written: {given.out}/bench.json, bench.md, bench.png, bench.svg", file=sys.stderr)
    failed = [name for name, section in bench.sections.items() if section.error]
    if failed:
        print(f"failed: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Measure how fast avzsl is, beside other implementations and beside what the machine could do.",
        epilog="sections: " + "; ".join(f"{name} ({title})" for name, (title, _) in SECTIONS.items())
        + ". A stopped measurement is continued by the same command. docs/speed.md explains the tables.",
    )  # fmt: skip
    parser.add_argument(
        "--only", default="", metavar="A,B", help="sections to measure, besides the machine's own rates"
    )
    parser.add_argument("--quick", action="store_true", help="under two minutes: few rounds, few cases")
    parser.add_argument("--tiny", action="store_true", help="sizes that measure nothing, for tests")
    parser.add_argument("--out", type=Path, default=Path("runs/bench"), metavar="DIR", help="default: runs/bench")
    parser.add_argument("--threads", type=_positive, default=0, metavar="N", help="of PyTorch; default: as it chooses")
    parser.add_argument("--seed", type=int, default=0, help="of data and orders")
    parser.add_argument("--fresh", action="store_true", help="measure again what is there")
    parser.add_argument("--json", action="store_true", help="print bench.json instead of bench.md")
    return parser.parse_args(arguments)


def _positive(text: str) -> int:
    number = int(text)
    if not 1 <= number <= (os.cpu_count() or 1):
        raise argparse.ArgumentTypeError(f"{number} is not between 1 and {os.cpu_count()}")
    return number


if __name__ == "__main__":
    sys.exit(main())
