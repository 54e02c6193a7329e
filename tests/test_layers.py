"""Checks the import direction described in docs/architecture.md."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest
from tests.support import ROOT

PACKAGE = ROOT / "src" / "limbeck"
ORDER = (
    "errors",
    "hashing",
    "progress",
    "packaged",
    "tables",
    "settings",
    "system",
    "answers",
    "data",
    "selection",
    "teacher",
    "fake_teacher",
    "student",
    "evaluation",
    "engines",
    "run_folder",
    "inputs",
    "planner",
    "methods",
    "config",
    "reports",
    "runner",
    "comparison",
    "cli",
)
"""The rooms, bottom up: each imports only those before it. `teacher` and `student` never import each other."""


def find_room(module: str) -> str:
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else ""


def find_imports(path: Path) -> set[str]:
    """Return all modules that a file imports, except those for type checking only."""
    tree = ast.parse(path.read_text("utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            node.body = []
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
    return found


FILES = sorted(path for path in PACKAGE.rglob("*.py"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_go_one_way(path: Path) -> None:
    """A room imports only rooms below it, and `teacher` and `student` never import each other."""
    room = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    if room in ("__init__", "__main__"):
        return
    below = set(ORDER[: ORDER.index(room)]) - ({"teacher"} if room == "student" else set())
    seen = {find_room(module) for module in find_imports(path) if module.startswith("limbeck.")} - {room}
    assert seen <= below, f"{path} imports upward: {sorted(seen - below)}"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_only_the_student_room_imports_torch(path: Path) -> None:
    """torch, transformers, trl, peft and accelerate are imported only in `student`."""
    heavy = {"torch", "transformers", "trl", "peft", "accelerate"}
    if path.relative_to(PACKAGE).parts[0] != "student":
        assert not {module.split(".")[0] for module in find_imports(path)} & heavy


@pytest.mark.parametrize(
    "module",
    [
        "limbeck",
        "limbeck.cli.main",
        "limbeck.config.config",
        "limbeck.run_folder.status",
        "limbeck.reports.terminal",
        "limbeck.teacher.backends",
        "limbeck.selection.quotas",
        "limbeck.data.longtail",
        "limbeck.evaluation.metrics",
        "limbeck.system.files",
        "limbeck.methods.baldistill.plan",
        "limbeck.comparison.compare",
        "limbeck.reports.comparison",
    ],
)
def test_light_modules_load_no_torch(module: str) -> None:
    """Config, status, ledger, quotas and `--help` never load torch."""
    code = f"import sys, {module}; sys.exit('torch' in sys.modules or 'transformers' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_every_module_imports_without_posix() -> None:
    """Every module can be imported without fcntl, resource, SIGHUP, SIGKILL or os.sched_getaffinity, as on Windows."""
    modules = [".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__") for path in FILES]
    names = [name for name in modules if not name.endswith("__main__")]
    code = f"""
import importlib, os, signal, sys
for name in {names}: importlib.import_module(name)  # the libraries are loaded once, with everything they need
for name in [name for name in sys.modules if name.partition(".")[0] == "limbeck"]: del sys.modules[name]
for name in ("fcntl", "resource", "pwd", "grp", "termios"): sys.modules[name] = None
for name in ("SIGHUP", "SIGKILL", "setitimer", "ITIMER_PROF"): delattr(signal, name)
del os.sched_getaffinity, os.geteuid
for name in {names}: importlib.import_module(name)
"""
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
