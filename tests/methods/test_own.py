"""A user's own file of methods: used by its path or its name, explained when it is wrong, never used unasked."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

import avzsl
from avzsl.errors import SettingError
from avzsl.methods import METHODS, EmbeddingMethod, Method, _own, check_method, use
from avzsl.methods._contract import CHECKS

OWN = '''
from dataclasses import dataclass
from avzsl.methods import EmbeddingMethod, register
@dataclass(frozen=True)
class Config:
    width: int = WIDTH
@register("NAME")
class Mine(EmbeddingMethod):
    """Nothing yet."""
    Config = Config
    title, year, venue, citation = "Mine", 2026, "here", "nobody"
'''


@pytest.fixture(autouse=True)
def _as_before(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(METHODS, "_entries", dict(METHODS._entries))
    monkeypatch.setattr(_own, "_USED", [])
    monkeypatch.setattr(sys, "path", list(sys.path))


def _write(path: Path, name: str = "mine", width: int = 8) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(OWN.replace("NAME", name).replace("WIDTH", str(width)))
    return path


def test_a_file_registers_its_methods_and_leaves_nothing_beside_it(tmp_path: Path) -> None:
    path = _write(tmp_path / "my methods" / "one-method.py")
    assert avzsl.use(path) == ("mine",)
    assert METHODS.get("mine").Config().width == 8
    assert _own.used() == (str(path),)
    assert [p.name for p in path.parent.iterdir()] == ["one-method.py"]


def test_a_file_used_again_takes_the_place_of_its_former_self(tmp_path: Path) -> None:
    path = _write(tmp_path / "a.py")
    use(path)
    _write(path, width=9)
    assert use(path) == ("mine",)
    assert METHODS.get("mine").Config().width == 9
    assert _own.used() == (str(path),)


def test_another_file_may_not_take_a_name_that_is_taken(tmp_path: Path) -> None:
    use(_write(tmp_path / "a.py"))
    with pytest.raises(SettingError, match=r"cannot use .*b\.py.*method 'mine' is registered already; choose another"):
        use(_write(tmp_path / "b" / "b.py"))
    with pytest.raises(SettingError, match="method 'ridge' is registered already"):
        use(_write(tmp_path / "c.py", name="ridge"))


def test_two_files_of_one_name_do_not_meet(tmp_path: Path) -> None:
    use(_write(tmp_path / "a" / "mine.py", name="first"))
    use(_write(tmp_path / "b" / "mine.py", name="second"))
    assert METHODS.get("first").__module__ != METHODS.get("second").__module__


def test_a_file_may_import_its_neighbour_and_a_module_is_found_where_one_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    neighbour = _write(tmp_path / "neighbour_of_mine.py")
    (tmp_path / "uses.py").write_text("import neighbour_of_mine\n")
    assert use(tmp_path / "uses.py") == ("mine",)
    assert use(neighbour) == ("mine",)  # used by itself too, it is still the same file
    _write(tmp_path / "a_package_of_mine" / "deep.py", name="deep")
    (tmp_path / "a_package_of_mine" / "__init__.py").write_text("from a_package_of_mine import deep\n")
    monkeypatch.chdir(tmp_path)
    assert use("a_package_of_mine") == ("deep",)
    assert use("a_package_of_mine") == ("deep",)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("x = 1\ny = x +\n", r"own\.py, line 2: SyntaxError: invalid syntax"),
        ("import math\n\nmath.sqrt('a')\n", r"own\.py, line 3: TypeError: must be real number"),
        ("import nothing_of_that_name\n", r"own\.py, line 1: ModuleNotFoundError: No module named 'nothing_of_that"),
        ("raise SystemExit(3)\n", r"line 1: it ends the program; put what should only run as a script under"),
        ("raise ValueError\n", r"line 1: ValueError$"),
        ("x = '\xe4'\n", r"SyntaxError"),
    ],
)
def test_a_file_that_fails_says_where(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "own.py").write_bytes(content.encode("latin-1"))
    modules = set(sys.modules)
    with pytest.raises(SettingError, match=message):
        use(tmp_path / "own.py")
    assert not [name for name in set(sys.modules) - modules if name.startswith("avzsl_own")]
    assert _own.used() == ()


@pytest.mark.parametrize(
    ("place", "message"),
    [
        ("absent.py", "there is no Python file absent.py; check the path"),
        ("folder/absent", "there is no Python file folder/absent; check the path"),
        ("no_such_module_here", "there is no module 'no_such_module_here' and no file of that name"),
        ("two words", "'two words' is neither a Python file nor a module"),
        ("", "'' is neither a Python file nor a module"),
    ],
)
def test_what_cannot_be_found_is_said(place: str, message: str) -> None:
    with pytest.raises(SettingError, match=message):
        use(place)


def test_the_environment_names_files_as_paths_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    paths = [_write(tmp_path / "with blank" / "a.py", name="first"), _write(tmp_path / "b.py", name="second")]
    monkeypatch.setenv("AVZSL_USE", os.pathsep.join(map(str, paths)))
    _own.use_named_in_environment()
    assert {"first", "second"} <= set(METHODS)


def test_a_method_is_asked_and_whatever_it_raises_is_a_broken_promise() -> None:
    ridge = check_method(METHODS.get("ridge"))
    assert [outcome.check for outcome in ridge] == list(CHECKS)
    assert {(outcome.state, outcome.reason) for outcome in ridge} == {("kept", "")}

    class Unfinished(EmbeddingMethod):
        pass

    for kind in (Unfinished, Method):
        states = {outcome.check.name: outcome for outcome in check_method(kind)}
        assert not any(outcome.state == "kept" for outcome in states.values())
        assert "'title' must be a text" in states["says_what_it_is"].reason
        assert states["learns"].reason.startswith("AttributeError: ")


def test_only_what_does_not_apply_in_every_case_does_not_apply() -> None:
    class Averaged(METHODS.get("ridge")):  # type: ignore[misc]
        """Takes averaged features only."""

        inputs = "averaged"

    found = {outcome.check.name: outcome for outcome in check_method(Averaged)}
    assert (found["padding"].state, found["padding"].reason) == ("not applicable", "averaged features have no padding")
    assert found["distances"].state == "kept"
