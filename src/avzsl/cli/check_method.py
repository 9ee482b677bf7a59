"""`avzsl check-method`: does a method keep what every method promises?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from avzsl.cli._options import Json, Quiet
from avzsl.cli._output import print_json, print_table
from avzsl.cli._progress import show_progress

if TYPE_CHECKING:
    from avzsl.methods import Method
    from avzsl.methods._contract import Outcome


def check_method(
    method: Annotated[
        str, typer.Argument(metavar="METHOD", help="A registered name, or your own Python file.", show_default=False)
    ],
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Ask a method for the promises that every method makes.

    Same seed same numbers, gradients reach every weight, blocks of clips change no score, saved weights come back, and
    so on, each on a small linear world. A file is run, and every method that it registers is asked. The exit code is 1
    when a promise is broken.

    \b
    Examples:
      avzsl check-method stft
      avzsl check-method my_method.py
    """
    from avzsl.methods import METHODS
    from avzsl.methods import check_method as check

    found: dict[str, tuple[Outcome, ...]] = {}
    with show_progress(quiet=quiet or json):
        for name in _names(method):
            found[name] = check(METHODS.get(name))
    broken = sum(outcome.state == "broken" for outcomes in found.values() for outcome in outcomes)
    if json:
        print_json([_record(name, METHODS.get(name), outcomes) for name, outcomes in found.items()])
    else:
        for name, outcomes in found.items():
            _show(name, outcomes)
    if broken:
        raise typer.Exit(1)


def _names(method: str) -> tuple[str, ...]:
    from avzsl.errors import SettingError
    from avzsl.methods import METHODS, use

    if not method.endswith(".py") and not Path(method).is_file():
        return (METHODS.get(method).name,)
    names = use(method)
    if not names:
        raise SettingError(f'{method} registers no method; put @register("name") above its class')
    return names


def _record(name: str, kind: type[Method], outcomes: tuple[Outcome, ...]) -> dict[str, object]:
    return {
        "method": name,
        "title": getattr(kind, "title", None),
        "kept": not any(outcome.state == "broken" for outcome in outcomes),
        "promises": [
            {"name": o.check.name, "promise": o.check.promise, "state": o.state, "reason": o.reason} for o in outcomes
        ],
    }


def _show(name: str, outcomes: tuple[Outcome, ...]) -> None:
    states = [outcome.state for outcome in outcomes]
    print(f"{name}: {states.count('kept')} kept, {states.count('broken')} broken", end="")
    print(f", {states.count('not applicable')} not applicable")
    words = {"kept": "kept", "broken": "BROKEN", "not applicable": "-"}
    print_table(["promise", "", "what it means"], [[o.check.name, words[o.state], o.check.promise] for o in outcomes])
    for outcome in sorted((o for o in outcomes if o.reason), key=lambda o: o.state):
        print(f"  {outcome.check.name} {outcome.state}: {outcome.reason}")
