"""The versions of the software that a run uses."""

from __future__ import annotations

import importlib.metadata
import subprocess
from pathlib import Path

PACKAGES = ("limbeck", "torch", "transformers", "trl", "peft", "datasets", "numpy")


def list_versions() -> dict[str, str | None]:
    """The version of each of `PACKAGES`, or None if it is not installed."""
    return {name: _read_version(name) for name in PACKAGES}


def _read_version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def read_commit() -> str | None:
    """The commit of limbeck's source if it runs from a checkout, else None; never that of a project it is installed in."""
    if not (Path(__file__).parents[3] / ".git").exists():
        return None
    try:
        done = subprocess.run(  # noqa: S603
            ["git", "-C", str(Path(__file__).parent), "rev-parse", "HEAD"],  # noqa: S607
            capture_output=True,
            text=True,
            timeout=5,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() or None
