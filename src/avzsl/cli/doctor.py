"""`avzsl doctor`: what this installation can do."""

from __future__ import annotations

import shutil
import textwrap
from typing import TYPE_CHECKING

import typer

from avzsl.cli._options import Json, Quiet
from avzsl.cli._output import print_json
from avzsl.cli._progress import show_progress

if TYPE_CHECKING:
    from avzsl.cli._doctor import Examination

_WIDTH = 110


def doctor(json: Json = False, quiet: Quiet = False) -> None:
    """Say what this installation can do, and how to mend what it cannot.

    Packages are imported, numbers computed, files written and read back, each in a process of its own with a time
    limit. The exit code is 1 when something that the core needs is broken; an extra that is missing is none of that.

    \b
    Examples:
      avzsl doctor
      avzsl doctor --json
    """
    from avzsl.cli._doctor import examine

    with show_progress(quiet=quiet or json):
        found = examine()
    print_json(found.as_dict()) if json else _show(found)
    if not found.ok:
        raise typer.Exit(1)


def _show(found: Examination) -> None:
    from avzsl.cli._doctor import NEEDS

    about = found.about
    print(f"avzsl {about['avzsl']}, Python {about['python']}, {about['platform']}")
    print(f"  avzsl is in {about['installed']}")
    print(f"  Python is {about['executable']}")
    for group in dict.fromkeys(check.group for check in found.checks):
        users = [verb for verb, extras in NEEDS.items() if group in extras]
        title = group if group in ("core", "machine") else f"extra '{group}'"
        print(f"\n{title}{f' (for {_listed(users)})' if users else ''}")
        for check in (check for check in found.checks if check.group == group):
            _print(f"  {check.state:<8} ", f"{check.name}: {check.said}")
    _summary(found)


def _summary(found: Examination) -> None:
    from avzsl.cli._doctor import WITHOUT

    verbs = found.verbs
    works = [verb for verb, lacking in verbs.items() if not lacking]
    stopped = {verb: lacking for verb, lacking in verbs.items() if lacking}
    print()
    if not stopped:
        print("Everything works.")
    elif not found.ok:
        print("The core is broken: nothing else works before it is mended.")
        stopped = {}
    else:
        _print("", f"These work: {_listed(works)}.")
    for lacking in dict.fromkeys(tuple(names) for names in stopped.values()):
        those = [verb for verb, names in stopped.items() if tuple(names) == lacking]
        _print("", f"These do not: {_listed(those)} (not ready: {_listed([repr(name) for name in lacking])}).")
    for extra in dict.fromkeys(name for lacking in stopped.values() for name in lacking if name in WITHOUT):
        _print("", f"Without '{extra}': {WITHOUT[extra]}.")
    mends = [check for check in found.checks if check.mend]
    if mends:
        print("\nTo mend:")
    for mend in dict.fromkeys(check.mend for check in mends):
        print(f"  {_listed(list(dict.fromkeys(check.name for check in mends if check.mend == mend)))}")
        print(f"    {mend}")


def _print(start: str, text: str) -> None:
    width = min(shutil.get_terminal_size((_WIDTH, 24)).columns, _WIDTH)
    print(textwrap.fill(text, width, initial_indent=start, subsequent_indent=" " * len(start)))


def _listed(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}" if names else "none"
