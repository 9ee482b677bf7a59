"""Who may import whom. An import outside this table is a mistake in the structure, not a detail."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

SOURCE = Path(__file__).resolve().parents[1] / "src" / "avzsl"
ROOT_FILES = {"errors", "types", "registry", "config", "layout", "files", "progress", "stop", "isolation"}
EVERYTHING = {
    "media", "nn", "losses", "decision", "world", "features", "data", "methods",
    "training", "evaluation", "experiments", "predict", "report", "simulate", "api", "cli",
}  # fmt: skip
MAY_IMPORT: dict[str, set[str]] = {
    "errors": set(),
    "types": set(),
    "registry": set(),
    "config": set(),
    "layout": set(),
    "files": set(),
    "progress": set(),
    "stop": set(),
    "isolation": set(),
    "media": set(),
    "nn": set(),
    "losses": {"nn"},
    "decision": set(),
    "world": {"media"},
    "features": {"media"},
    "data": {"features"},
    "methods": {"nn", "losses", "decision"},
    "training": {"data", "methods"},
    "evaluation": {"data", "decision", "methods"},
    "experiments": {"training", "evaluation", "methods", "data"},
    "predict": {"features", "methods", "decision"},
    "report": set(),
    # Reads class splits as `data` does and writes features as `features` does; nobody needs it.
    "simulate": {"data", "features"},
    "api": EVERYTHING - {"cli", "report"},
    "cli": EVERYTHING,
    "__main__": {"cli"},
}
# Of these rooms only the named modules may be used from the named room.
NARROW = {
    ("data", "features"): {"features.store"},
    ("training", "methods"): {"methods._base", "methods._checkpoint"},
    ("evaluation", "methods"): {"methods._base"},
    ("simulate", "data"): {"data.classes", "data.family"},
    ("simulate", "features"): {"features.store", "features.benchmark"},
}


def _imports(path: Path) -> list[str]:
    found: list[str] = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found += [a.name for a in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            assert node.level == 0, f"{path}: write absolute imports"
            found += [f"{node.module}.{a.name}" for a in node.names]
    return [name.removeprefix("avzsl.") for name in found if name.startswith("avzsl.")]


FILES = sorted(p for p in SOURCE.rglob("*.py") if p != SOURCE / "__init__.py")


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(SOURCE)))
def test_imports_follow_the_table(path: Path) -> None:
    room = path.relative_to(SOURCE).parts[0].removesuffix(".py")
    assert room in MAY_IMPORT, f"room '{room}' is not in the table"
    for name in _imports(path):
        target = name.split(".")[0]
        if target == room or target in ROOT_FILES or target == "__version__":
            continue
        assert target in MAY_IMPORT[room], f"{room} may not import {name}"
        allowed = NARROW.get((room, target))
        if allowed is not None:
            assert any(name == a or name.startswith(a + ".") for a in allowed), f"{room} may only use {allowed}"


def test_every_room_is_in_the_table() -> None:
    rooms = {p.name for p in SOURCE.iterdir() if p.is_dir() and (p / "__init__.py").exists()}
    files = {p.stem for p in SOURCE.glob("*.py")} - {"__init__", "__main__"}
    assert rooms | files <= set(MAY_IMPORT)


def test_import_needs_only_torch_and_numpy() -> None:
    import subprocess
    import sys

    code = (
        "import sys, avzsl; heavy = {'av', 'h5py', 'pydantic', 'typer', 'rich', 'sklearn', 'matplotlib',"
        " 'transformers', 'jinja2'} & set(sys.modules); sys.exit(str(heavy) if heavy else 0)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr


def test_no_branch_on_a_method_name_outside_methods() -> None:
    import avzsl.methods
    from avzsl.methods._base import METHODS

    assert avzsl.methods
    names = set(METHODS.names())
    for path in FILES:
        if path.relative_to(SOURCE).parts[0] == "methods":
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Compare):
                constants = [n.value for n in ast.walk(node) if isinstance(n, ast.Constant)]
                assert not names & {c for c in constants if isinstance(c, str)}, f"{path}:{node.lineno}"


def test_no_pickle_is_written_or_read() -> None:
    """Only the restricted unpickler may name the module, and it subclasses `Unpickler`."""
    for path in FILES:
        text = path.read_text(encoding="utf-8")
        for word in ("pickle.load(", "pickle.loads(", "pickle.dump", "torch.save(", "torch.load(", "allow_pickle=True"):
            assert word not in text, f"{path} uses {word}"
