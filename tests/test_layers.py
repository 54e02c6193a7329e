"""The import direction of DESIGN §1, kept by walking the imports."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "src" / "limbeck"
# What each room may import besides itself; `settings` modules join in `config`, which imports no torch.
ALLOWED = {
    "errors": set(),
    "progress": set(),
    "data": {"errors"},
    "storage": {"errors", "data"},
    "selection": {"errors", "data"},
    "packaged": {"errors"},
    "teacher": {"errors", "data", "packaged"},
    "student": {"errors", "data", "storage", "packaged"},
    "run_folder": {"errors", "data", "storage"},
    "evaluation": {"errors", "data", "student", "selection"},
    "methods": {"errors", "data", "selection", "teacher", "student", "run_folder", "storage", "evaluation", "packaged"},
    "config": {"errors", "data", "teacher", "student", "evaluation", "methods", "config_defaults", "config_faults",
               "config_paths", "config_yaml"},
    "config_changes": {"errors", "config"},
    "config_defaults": set(),
    "config_faults": {"config_defaults"},
    "config_paths": {"errors", "data"},
    "config_yaml": {"errors"},
    "status": {"errors", "data", "selection", "teacher", "run_folder", "storage"},
    "printing": set(),
    "console": {"errors", "config", "printing", "progress"},
    "plan_tables": {"console"},
    "versions": set(),
    "run": {"errors", "data", "selection", "teacher", "student", "run_folder", "storage", "evaluation", "methods", "config",
            "config_changes", "progress", "run_data", "run_measure", "card", "plan", "probe", "counting", "learning",
            "versions", "status"},
    "run_measure": {"data", "teacher", "student", "storage", "evaluation", "methods"},
    "run_data": {"errors", "data", "selection", "config", "teacher", "evaluation", "methods", "packaged"},
    "gguf_header": set(),
    "counting": {"errors", "teacher", "gguf_header"},
    "learning": {"errors", "config", "counting", "run_folder", "storage", "teacher"},
    "estimate": {"errors", "data", "config", "teacher", "run_data", "packaged", "evaluation", "counting", "learning"},
    "plan_requests": {"data", "selection", "config", "teacher", "run_data", "methods", "estimate", "learning"},
    "plan_generation": {"data", "selection", "config", "teacher", "run_data", "methods", "estimate", "learning",
                        "plan_requests"},
    "plan": {"errors", "selection", "config", "teacher", "run_data", "methods", "estimate", "counting", "learning",
             "plan_requests", "plan_generation"},
    "interrupts": set(),
    "compare_runs": {"config", "interrupts", "run_folder", "storage"},
    "compare_budget": {"errors", "config", "counting", "methods", "plan", "run_data"},
    "compare_results": {"evaluation", "run_folder", "status", "storage", "teacher", "compare_runs"},
    "compare_tables": {"console", "printing"},
    "compare": {"errors", "data", "config", "config_changes", "methods", "run_data", "run_folder", "storage", "teacher",
                "compare_runs", "compare_budget", "compare_results", "compare_tables"},
    "probe_shares": {"selection", "methods"},
    "probe": {"errors", "data", "selection", "config", "evaluation", "teacher", "run_data", "run_folder", "storage", "methods",
              "estimate", "learning", "counting", "plan", "plan_requests", "plan_generation", "probe_shares"},
    "card": {"errors", "data", "config", "methods"},
    "doctor": {"errors", "packaged", "data", "teacher", "student", "config", "console", "versions"},
}  # fmt: skip


def find_room(module: str) -> str:
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else ""


def find_imports(path: Path) -> set[str]:
    """Modules a file imports anywhere, those for type checking only left out."""
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
    """A room imports only the rooms below it; `teacher` and `student` never see each other."""
    room = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    if room in ("__init__", "__main__", "cli") or room.startswith("cli_"):
        return
    seen = {find_room(module) for module in find_imports(path) if module.startswith("limbeck.")}
    assert seen <= ALLOWED[room] | {room}, f"{path} imports {sorted(seen - ALLOWED[room] - {room})}"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_only_the_student_room_imports_torch(path: Path) -> None:
    """torch, transformers, trl and peft are imported in `student` and nowhere else."""
    heavy = {"torch", "transformers", "trl", "peft", "accelerate"}
    if path.relative_to(PACKAGE).parts[0] != "student":
        assert not {module.split(".")[0] for module in find_imports(path)} & heavy


@pytest.mark.parametrize(
    "module",
    ["limbeck", "limbeck.cli", "limbeck.config", "limbeck.status", "limbeck.console", "limbeck.teacher.backends",
     "limbeck.selection.quotas", "limbeck.data.longtail", "limbeck.evaluation.metrics", "limbeck.storage", "limbeck.plan",
     "limbeck.compare", "limbeck.compare_tables"],
)  # fmt: skip
def test_light_modules_load_no_torch(module: str) -> None:
    """Config, status, ledger, quotas and `--help` never pay for loading torch."""
    code = f"import sys, {module}; sys.exit('torch' in sys.modules or 'transformers' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
