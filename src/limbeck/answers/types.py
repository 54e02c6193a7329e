"""The answer types by name. Gold answers, teachers and students share one parser per type."""

from __future__ import annotations

from limbeck.answers.answer_type import AnswerType
from limbeck.answers.choice import CHOICE
from limbeck.answers.equation import EQUATION
from limbeck.answers.formulation import FORMULATION
from limbeck.answers.label import LABEL
from limbeck.answers.math import MATH
from limbeck.answers.number import NUMBER
from limbeck.answers.text import CODE, SQUAD, TEXT
from limbeck.tables import Table

ANSWERS: Table[AnswerType] = Table(
    "answers",
    "answer type",
    {
        "number": NUMBER,
        "choice": CHOICE,
        "label": LABEL,
        "text": TEXT,
        "squad": SQUAD,
        "code": CODE,
        "math": MATH,
        "equation": EQUATION,
        "formulation": FORMULATION,
    },
    aliases={"letter": "choice", "latex": "math"},  # names used in published data sets
)
"""The values allowed for ``task.answer`` and in the column ``answer_type``."""
