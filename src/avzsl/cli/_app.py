"""The verbs put together. Each imports what it needs when it runs, so that help is quick."""

from __future__ import annotations

import importlib
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
        app.command(name=verb)(telling(getattr(importlib.import_module(f"avzsl.cli.{verb}"), verb)))
    return typer.main.get_command(app)


def _start(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Show the version and stop.")] = False,
) -> None:
    if version:
        print(f"avzsl {__version__}")
        raise typer.Exit
    if context.invoked_subcommand is None:
        print(context.get_help())
