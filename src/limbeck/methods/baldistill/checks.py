"""Whether a method fits the student, found before anything is read, asked or trained. Imports no torch."""

from __future__ import annotations

from limbeck.errors import ConfigError
from limbeck.methods.settings import BalDistillSettings, load_presets
from limbeck.packaged import find_packaged


def check_student(method: BalDistillSettings, kind: str) -> None:
    """Refuse a method that the kind of student can't carry out.

    Raises:
        ConfigError: as `check_selection` and `check_objective`.
    """
    check_selection(method, kind)
    check_objective(method, kind)


def check_selection(method: BalDistillSettings, kind: str) -> None:
    """Refuse a selection that the student can't give, or that needs what is not installed.

    Args:
        method: of the run; one of a single stage has no student that scores, and always fits.
        kind: of the student.

    Raises:
        ConfigError: ``selection: ifd`` without a causal student, or vectors of an encoder whose wheel is not there; the message
            says what to use instead.
    """
    if method.stages < 2:
        return
    if method.selection == "ifd" and kind != "causal":
        raise ConfigError(
            f"{_name_preset(method)}method.selection: ifd needs a student that goes on writing "
            f"after its prompt (student.kind: causal), and this one is a {kind}. {_find_remedy(method)}, or take a preset that "
            f"fits: {', '.join(_find_fitting(method))}"
        )
    if method.diversity != "none" and method.diversity_by == "minilm":
        try:
            find_packaged("minilm-l6")
        except ConfigError as error:
            raise ConfigError(f"method.diversity_by: minilm: {error}; or use method.diversity_by: student") from error


def check_objective(method: BalDistillSettings, kind: str) -> None:
    """Refuse two objectives for a student that can learn one.

    Raises:
        ConfigError: ``objective: separate`` with a classifier.
    """
    if method.is_separate and kind == "classifier":
        raise ConfigError(
            f"{_name_preset(method)}method.objective: separate trains a student on rationales too, which student.kind: "
            "classifier can't write. Use student.kind: causal or seq2seq; or objective: joint with annotation: none, which "
            "learns the answers alone."
        )


def _name_preset(method: BalDistillSettings) -> str:
    return f"preset {method.preset}: " if method.preset else ""


def _find_remedy(method: BalDistillSettings) -> str:
    if method.preset is None:
        return "Use method.selection: loss, energy, entropy or margin"
    return (
        f"Write method: {{preset: {method.preset}, selection: loss, keeps: [selection]}} (or energy, entropy, margin) in the "
        "config: a preset from outside leaves what it keeps alone"
    )


def _find_fitting(method: BalDistillSettings) -> list[str]:
    """The presets of the method that score nothing by IFD."""
    return [
        name
        for name, values in load_presets().items()
        if values["name"] == method.name and (values.get("selection") != "ifd" or values.get("stages", method.stages) < 2)
    ]
