"""The verbs put together. Each imports what it needs when it runs, so that help is quick."""

from __future__ import annotations

import importlib
import os
from collections.abc import Sequence
from typing import Annotated, Any

import typer

from avzsl import __version__
from avzsl.cli import VERBS
from avzsl.cli._stop import telling

_HELP = """Audio-visual generalised zero-shot learning: train on some classes, name videos of others.

\b
Everything at once, in a few minutes:   avzsl demo

\b
The same in steps:
  avzsl world videos                           render a small benchmark of videos
  avzsl extract videos --out data/World        turn videos into features
  avzsl train stft --preset demo --data data/World --out runs/world
  avzsl predict runs/world my.mp4 --classes "barking dog, red ball"
  avzsl report runs/world

\b
All methods side by side, and your own among them:
  avzsl benchmark --data data/World --out runs/benchmark
  avzsl --use my_method.py benchmark --data data/World --out runs/benchmark
"""


def build() -> Any:
    """The command with all its verbs."""
    app = typer.Typer(
        name="avzsl",
        add_completion=False,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback(invoke_without_command=True, help=_HELP)(_start)
    for verb in VERBS:
        name = verb.replace("-", "_")  # check-method stands in check_method.py
        app.command(name=verb)(telling(getattr(importlib.import_module(f"avzsl.cli.{name}"), name)))
    return typer.main.get_command(app)


def _start(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Show the version and stop.")] = False,
    use: Annotated[
        list[str] | None,
        typer.Option(
            "--use",
            metavar="FILE.py",
            help="Run a Python file (or a module) of yours first, so that its methods are known. Repeatable; the "
            "environment variable AVZSL_USE does the same.",
        ),
    ] = None,
) -> None:
    if version:
        print(f"avzsl {__version__}")
        raise typer.Exit
    if context.invoked_subcommand is None:
        print(context.get_help())
    elif use or os.environ.get("AVZSL_USE"):
        _use(use or ())


def _use(places: Sequence[str]) -> None:
    """Only what the user names on the command line or in the environment is ever run."""
    from avzsl.methods import _own

    _own.use_named_in_environment()
    for place in places:
        _own.use(place)
