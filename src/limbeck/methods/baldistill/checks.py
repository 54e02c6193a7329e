"""Checks that a method fits the student, before anything is read, asked or trained. Imports no torch."""

from __future__ import annotations

from limbeck.errors import ConfigError
from limbeck.inputs.sections import Sections
from limbeck.methods.baldistill.settings import BalDistillSettings
from limbeck.methods.method import read_presets
from limbeck.packaged import find_packaged
from limbeck.student.tables import KINDS, SCORES


def check_settings(config: Sections, method: BalDistillSettings) -> None:
    """Reject contradictory settings before anything is read.

    Raises:
        ConfigError: there is no pool; or see `check_student`.
    """
    if config.data.train is None:
        raise ConfigError("data.train is not set; it is the pool that examples are chosen from")
    check_student(method, config.student.kind)


def check_student(method: BalDistillSettings, kind: str) -> None:
    """Reject a method that this kind of student can't support.

    Raises:
        ConfigError: see `check_selection` and `check_objective`.
    """
    check_selection(method, kind)
    check_objective(method, kind)


def check_selection(method: BalDistillSettings, kind: str) -> None:
    """Reject a selection that the student can't compute, or that needs a package that is not installed.

    Args:
        method: of the run; with a single stage no student scores anything, so it always fits.
        kind: of the student.

    Raises:
        ConfigError: ``selection: ifd`` without a causal student, or vectors of an encoder whose wheel is not installed; the
            message says what to use instead.
    """
    if method.stages < 2:
        return
    if method.selection in SCORES and not SCORES[method.selection].fits(kind):
        raise ConfigError(
            f"{_name_preset(method)}method.selection: {method.selection} needs student.kind: "
            f"{' or '.join(SCORES[method.selection].kinds)}, but this student is a {kind}. "
            f"{_suggest_remedy(method)}, or use a preset that fits: {', '.join(_list_fitting_presets(method, kind))}"
        )
    if method.diversity != "none" and method.diversity_by == "minilm":
        try:
            find_packaged("minilm-l6")
        except ConfigError as error:
            raise ConfigError(f"method.diversity_by: minilm: {error}; or use method.diversity_by: student") from error


def check_objective(method: BalDistillSettings, kind: str) -> None:
    """Reject separate objectives for a student that can learn only one.

    Raises:
        ConfigError: ``objective: separate`` with a classifier.
    """
    if method.is_separate and not KINDS[kind].writes_text:
        raise ConfigError(
            f"{_name_preset(method)}method.objective: separate also trains on rationales, which student.kind: "
            f"{kind} can't write. Use student.kind: causal or seq2seq; or objective: joint with annotation: none, which "
            "learns only the answers."
        )


def _name_preset(method: BalDistillSettings) -> str:
    return f"preset {method.preset}: " if method.preset else ""


def _suggest_remedy(method: BalDistillSettings) -> str:
    if method.preset is None:
        return "Use method.selection: loss, energy, entropy or margin"
    return (
        f"Write method: {{preset: {method.preset}, selection: loss, keeps: [selection]}} (or energy, entropy, margin) in the "
        "config: other presets do not change the settings in keeps"
    )


def _list_fitting_presets(method: BalDistillSettings, kind: str) -> list[str]:
    """The presets whose selection this kind of student can compute."""
    return [
        name
        for name, values in read_presets(__package__ or "").items()
        if values.get("stages", method.stages) < 2
        or values.get("selection") not in SCORES
        or SCORES[values["selection"]].fits(kind)
    ]
