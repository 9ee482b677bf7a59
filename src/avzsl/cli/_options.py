"""Options that several verbs share, so that they read the same everywhere."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Json = Annotated[bool, typer.Option("--json", help="Print JSON on stdout and nothing else there.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress on stderr.")]
Device = Annotated[str, typer.Option("--device", help="auto (a GPU when there is one), cpu or cuda.")]
Data = Annotated[Path, typer.Option("--data", help="Benchmark folder: what 'avzsl extract' wrote, or a published one.")]
Run = Annotated[Path, typer.Argument(metavar="RUN", help="Folder that 'avzsl train' wrote.", show_default=False)]
Trusted = Annotated[
    bool,
    typer.Option(
        "--trusted",
        help="You know where the files come from: read them in this process, without limits on time and memory. "
        "Faster, but a damaged file may then hang or crash it.",
    ),
]
Trust = Annotated[
    bool, typer.Option("--trust", help="Read temporal features from public .pkl files (no code in them is run).")
]
