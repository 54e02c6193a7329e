"""Rules of the house that a machine can keep."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
from tests.support import ROOT

import limbeck

SOURCES = sorted((ROOT / "src").rglob("*.py"))
TESTS = sorted(path for path in (ROOT / "tests").rglob("test_*.py"))


@pytest.mark.parametrize("path", TESTS, ids=lambda path: str(path.relative_to(ROOT / "tests")))
def test_every_test_states_what_it_specifies(path: Path) -> None:
    """Each test function has a docstring that is a sentence."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
            said = ast.get_docstring(node)
            assert said, f"{path}: {node.name} says nothing"
            assert said.endswith("."), f"{path}: {node.name} is no sentence"


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT / "src")))
def test_no_forbidden_calls(path: Path) -> None:
    """No source file calls eval or exec, imports pickle, trusts remote code, or swallows every exception."""
    text = path.read_text("utf-8")
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            assert node.func.id not in ("eval", "exec"), f"{path}:{node.lineno}"
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [alias.name for alias in node.names] + [getattr(node, "module", None) or ""]
            assert not {"pickle", "dill", "shelve", "marshal"} & {name.split(".")[0] for name in names}, f"{path}:{node.lineno}"
        if isinstance(node, ast.ExceptHandler):
            broad = node.type is None or (isinstance(node.type, ast.Name) and node.type.id in ("Exception", "BaseException"))
            assert not broad or any(isinstance(inner, ast.Raise) for inner in ast.walk(node)), f"{path}:{node.lineno}"
    assert "trust_remote_code" not in text


def test_readme_names_every_room() -> None:
    """The tree in the README names every file and folder at the top of the package."""
    readme = (ROOT / "README.md").read_text("utf-8")
    for path in (ROOT / "src" / "limbeck").iterdir():
        if not path.name.startswith(("_", ".")) and path.name != "py.typed":
            assert path.name in readme, path.name


def test_public_names_load() -> None:
    """Every public name of the package exists and is one of about a dozen."""
    assert len(limbeck.__all__) <= 14
    for name in limbeck.__all__:
        assert getattr(limbeck, name) is not None
    with pytest.raises(AttributeError, match="no attribute"):
        _ = limbeck.nonsense


def test_version_is_the_same_everywhere() -> None:
    """The version of the package, of the project file and of the newest changelog entry agree."""
    assert f'version = "{limbeck.__version__}"' in (ROOT / "pyproject.toml").read_text("utf-8")
    newest = re.search(r"^## \[?([^\]\s]+)", (ROOT / "CHANGELOG.md").read_text("utf-8"), re.MULTILINE)
    assert newest is not None
    assert newest[1] in (limbeck.__version__, "Unreleased")


def test_exact_training_data_is_not_committed() -> None:
    """The repository holds no data set of others: no JSONL but small hand-made files under examples."""
    for path in ROOT.rglob("*.jsonl"):
        relative = path.relative_to(ROOT)
        assert relative.parts[0] in ("runs", ".venv", "examples") or path.stat().st_size < 50_000, relative
