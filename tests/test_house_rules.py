"""House rules that can be checked automatically."""

from __future__ import annotations

import ast
import importlib
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
            assert said, f"{path}: {node.name} has no docstring"
            assert said.endswith("."), f"{path}: the docstring of {node.name} does not end in a period"


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


def test_the_architecture_page_names_every_room() -> None:
    """`docs/architecture.md` names every file and folder at the top of the package, and the README stays short."""
    page = (ROOT / "docs" / "architecture.md").read_text("utf-8")
    for path in (ROOT / "src" / "limbeck").iterdir():
        if not path.name.startswith(("_", ".")) and path.name != "py.typed":
            assert f"`{path.name}{'/' if path.is_dir() else ''}`" in page, path.name
    assert len(list((ROOT / "src" / "limbeck").glob("*.py"))) <= 9
    assert len((ROOT / "README.md").read_text("utf-8").splitlines()) <= 150


def test_documents_refer_to_nothing_outside_the_repository() -> None:
    """No source, document or example refers to a design document or notes that users can't open, or to a retired model."""
    pages = [path for folder in ("src", "docs", "examples") for path in (ROOT / folder).rglob("*") if path.is_file()]
    for path in [*pages, ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "SECURITY.md"]:
        if path.suffix in (".py", ".md", ".yaml", ".json"):
            text = path.read_text("utf-8")
            assert not re.search(r"DESIGN §|of the notes|gpt-4o|gpt-4\.1", text), path
    assert not [path for path in (*SOURCES, *TESTS) if re.search(r"fmt:\s*skip", path.read_text("utf-8"))]


RUN_FILES = re.compile(
    r"[\"'/](?:run\.json|ledger\.sqlite|plan\.json|quotas\.json|examples\.jsonl|rejected\.jsonl|train\.jsonl|metrics\.json"
    r"|diversity\.json|predictions\.jsonl|scores\.jsonl|selection\.json|probe\.json|left_out\.jsonl|premixed\.jsonl"
    r"|choice\.json|probes\.jsonl|feedback\.jsonl|compare\.json|replies\.sqlite)[\"']"
)


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT / "src")))
def test_only_the_run_folder_room_spells_file_names(path: Path) -> None:
    """Only the room `run_folder` spells the names of a run's files."""
    if "run_folder" not in path.parts:
        assert not RUN_FILES.findall(path.read_text("utf-8"))


def test_version_is_the_same_everywhere() -> None:
    """The versions of the package, the project file and the newest changelog entry agree."""
    assert f'version = "{limbeck.__version__}"' in (ROOT / "pyproject.toml").read_text("utf-8")
    newest = re.search(r"^## \[?([^\]\s]+)", (ROOT / "CHANGELOG.md").read_text("utf-8"), re.MULTILINE)
    assert newest is not None
    assert newest[1] in (limbeck.__version__, "Unreleased")


def test_exact_training_data_is_not_committed() -> None:
    """The repository contains no third-party data sets: JSONL files are small or under examples."""
    for path in ROOT.rglob("*.jsonl"):
        relative = path.relative_to(ROOT)
        assert relative.parts[0] in ("runs", ".venv", "examples") or path.stat().st_size < 50_000, relative


@pytest.mark.parametrize("path", sorted((ROOT / "benchmarks").glob("*.py")), ids=lambda path: path.stem)
def test_benchmarks_import(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every benchmark still finds what it imports."""
    monkeypatch.syspath_prepend(str(path.parent))
    importlib.import_module(path.stem)
