"""What the source promises of files: nothing is written but through `avzsl.files`, and nothing is pickled."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).resolve().parents[1] / "src" / "avzsl"
FILES = sorted(SOURCE.rglob("*.py"))

# (file, function) that may write in another way, and why.
MAY_WRITE = {
    ("files.py", "write_bytes"): "the helper itself",
    ("files.py", "atomic_path"): "the helper itself",
    ("files.py", "_hold"): "the lock, which nobody reads for its content",
    ("cli/__init__.py", "_nowhere"): "the null device",
    ("cli/_machine.py", "try_temp"): "tries a temporary folder, which goes at once",
    ("cli/_probe.py", "_hdf5"): "likewise",
    ("features/store/class_files.py", "new_hdf5"): "in memory; the bytes go through the helper",
    ("features/benchmark.py", "_put_in_place"): "renames whole pieces",
    ("features/benchmark.py", "_restore"): "renames whole pieces back",
    ("nn/compiled/_build.py", "_compile"): "a temporary name; what does not load is compiled anew",
    ("report/drawing.py", "*"): "draws into memory",
    ("report/picture_files.py", "save_picture"): "draws into memory, and into `atomic_path`",
    ("experiments/thumbnails.py", "*"): "draws into memory",
}
_WRITING = {
    "write_text", "write_bytes", "savefig", "save", "save_file", "savez", "savez_compressed", "savetxt", "tofile",
    "dump", "copy", "copy2", "copyfile", "copytree", "move", "rename", "replace", "to_csv", "touch", "memmap",
}  # fmt: skip
# `copy`, `replace` and the like are methods of much else; these owners write files.
_OWNERS = {"shutil", "os", "np", "numpy", "torch", "json", "pickle", "safetensors", "Path"}
_AMBIGUOUS = {"save", "copy", "replace", "rename", "move", "dump"}


def _mode(call: ast.Call, place: int) -> str:
    given = [call.args[place]] if len(call.args) > place else [k.value for k in call.keywords if k.arg == "mode"]
    return str(given[0].value) if given and isinstance(given[0], ast.Constant) else ""


def _writes(call: ast.Call) -> bool:
    function = call.func
    if isinstance(function, ast.Name):
        return function.id == "open" and bool(set("wax+") & set(_mode(call, 1)))
    if not isinstance(function, ast.Attribute):
        return False
    owner = function.value.id if isinstance(function.value, ast.Name) else ""
    if function.attr == "open":  # a path's, PyAV's, os's
        return bool(set("wax+") & set(_mode(call, 1 if owner in {"av", "io", "gzip"} else 0))) and owner != "os"
    if function.attr == "File" and owner == "h5py":
        return bool(set("wax+") & set(_mode(call, 1))) or not (len(call.args) > 1 or call.keywords)
    if function.attr in {"rename", "replace"}:  # of a path: one argument; of a text: two
        return owner == "os" or len(call.args) == 1
    return function.attr in _WRITING and (function.attr not in _AMBIGUOUS or owner in _OWNERS)


def _calls(node: ast.AST, inside: str = "", atomic: bool = False) -> Iterator[tuple[ast.Call, str, bool]]:
    """Every call with the function around it, and whether it stands in a block of `atomic_path`."""
    for child in ast.iter_child_nodes(node):
        here, safe = inside, atomic
        if isinstance(child, ast.FunctionDef):
            here = child.name
        if isinstance(child, ast.With):
            names = [i.context_expr.func for i in child.items if isinstance(i.context_expr, ast.Call)]
            safe = safe or any(isinstance(n, ast.Name) and n.id == "atomic_path" for n in names)
        if isinstance(child, ast.Call):
            yield child, here, safe
        yield from _calls(child, here, safe)


def _stray_writes(text: str, name: str) -> list[str]:
    return [
        f"{name}:{call.lineno} in {function}: {ast.unparse(call)[:80]}"
        for call, function, atomic in _calls(ast.parse(text))
        if _writes(call) and not atomic and not {(name, function), (name, "*")} & set(MAY_WRITE)
    ]


def test_files_are_written_through_the_helpers_alone() -> None:
    stray = [line for path in FILES for line in _stray_writes(path.read_text(), str(path.relative_to(SOURCE)))]
    assert not stray, "write with avzsl.files (temporary name, flush, rename):\n" + "\n".join(stray)


@pytest.mark.parametrize(
    "line",
    [
        "open('a', 'w')", "open('a', mode='ab')", "path.open('w')", "path.open(mode='x')", "path.write_text('a')",
        "path.write_bytes(b'a')", "figure.savefig('a.png')", "h5py.File('a', 'w')", "h5py.File('a')", "np.save('a', b)",
        "np.savez('a', b)", "array.tofile('a')", "json.dump(a, file)", "torch.save(a, 'b')",
        "shutil.copyfile('a', 'b')", "os.replace('a', 'b')", "path.rename('b')", "path.replace(other)",
        "st.save_file(a, 'b')", "av.open('a', 'w')", "h5py.File('a', mode='r+')", "path.touch()",
    ],
)  # fmt: skip
def test_the_scan_sees_a_way_of_writing(line: str) -> None:
    assert _stray_writes(f"def f():\n    {line}", "x.py"), line
    assert not _stray_writes(f"def f():\n    with atomic_path(p) as t:\n        {line}", "x.py")


@pytest.mark.parametrize(
    "line",
    [
        "open('a')", "path.open('rb')", "'a'.replace('b', 'c')", "h5py.File('a', 'r')", "write_text(path, 'a')",
        "replace(config, a=1)", "array.copy()", "save(tensors)", "av.open('a')",
    ],
)  # fmt: skip
def test_the_scan_lets_other_things_be(line: str) -> None:
    assert not _stray_writes(f"def f():\n    {line}", "x.py"), line


def test_the_exceptions_are_still_there() -> None:
    for name, function in MAY_WRITE:
        text = (SOURCE / name).read_text()
        assert function == "*" or f"def {function}(" in text, f"{name} has no {function}; take it off the list"


# Only the restricted unpickler may name pickle at all; the processes of multiprocessing speak it among themselves.
_UNPICKLER = "features/store/unpickle.py"
_PICKLING = {
    "pickle", "_pickle", "cPickle", "pickletools", "dill", "cloudpickle", "joblib", "shelve", "marshal", "jsonpickle",
}  # fmt: skip
# numpy and torch hide pickle behind these; `np.load` reads one when it is told to, and nothing here needs it.
_HIDDEN = {
    ("np", "load"), ("numpy", "load"), ("np", "save"), ("numpy", "save"), ("torch", "load"), ("torch", "save"),
    ("torch", "package"), ("pd", "read_pickle"), ("pandas", "read_pickle"), ("yaml", "load"), ("hub", "load"),
}  # fmt: skip
_NAMES = {"load_state_dict_from_url", "read_pickle_file", "to_pickle", "loadmat"}


def _pickles(text: str) -> list[str]:
    found = []
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            found += [a.name for a in node.names if a.name.split(".")[0] in _PICKLING]
        elif isinstance(node, ast.ImportFrom):
            top = (node.module or "").split(".")[0]
            found += [top] if top in _PICKLING else []
            found += [f"{top}.{a.name}" for a in node.names if (top, a.name) in _HIDDEN]
        elif isinstance(node, ast.Attribute):
            owner = node.value.id if isinstance(node.value, ast.Name) else getattr(node.value, "attr", "")
            found += [f"{owner}.{node.attr}"] if (owner, node.attr) in _HIDDEN or node.attr in _NAMES else []
        elif isinstance(node, ast.Call):
            named = {k.arg: k.value for k in node.keywords}
            for key, wrong in (("allow_pickle", True), ("weights_only", False)):
                value = named.get(key)
                if value is not None and not (isinstance(value, ast.Constant) and value.value is not wrong):
                    found.append(key)
            if isinstance(node.func, ast.Name) and node.func.id == "__import__":
                found.append("__import__")
            if ast.unparse(node.func).endswith("import_module") and node.args:
                first = node.args[0]
                found += [str(first.value)] if isinstance(first, ast.Constant) and first.value in _PICKLING else []
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(SOURCE)))
def test_no_pickle_is_written_or_read(path: Path) -> None:
    found = _pickles(path.read_text())
    if str(path.relative_to(SOURCE)) == _UNPICKLER:
        assert set(found) == {"pickle", "pickletools"}
        uses = {ast.unparse(n) for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.Attribute)}
        assert {u for u in uses if u.startswith("pickle.")} <= {"pickle.Unpickler", "pickle.UnpicklingError"}
    else:
        assert not found


@pytest.mark.parametrize(
    "line",
    [
        "import pickle", "import dill as d", "from joblib import load", "import shelve", "from marshal import loads",
        "np.load('a')", "np.load('a', allow_pickle=True)", "numpy.lib.format.read_array(f, allow_pickle=flag)",
        "torch.load('a')", "torch.load('a', weights_only=False)", "from torch import load", "torch.hub.load('a')",
        "f(weights_only=flag)", "importlib.import_module('pickle')", "__import__('pickle')", "import _pickle",
        "pandas.read_pickle('a')", "import pickle.x",
    ],
)  # fmt: skip
def test_the_scan_sees_a_way_of_pickling(line: str) -> None:
    assert _pickles(line), line
