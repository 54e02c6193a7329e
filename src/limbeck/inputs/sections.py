"""The sections of a config, as the packages below `config` see them."""

from __future__ import annotations

from typing import Protocol

from limbeck.data.sources import DataSettings
from limbeck.data.task import Task
from limbeck.evaluation.settings import EvaluationSettings
from limbeck.student.settings import StudentSettings, TrainingSettings
from limbeck.teacher.client.budget import BudgetSettings
from limbeck.teacher.settings import TeacherSettings


class Sections(Protocol):
    """A `limbeck.Config` without its method, whose settings are passed separately."""

    @property
    def seed(self) -> int:
        """Seed of the run."""

    @property
    def data(self) -> DataSettings:
        """Where the data is."""

    @property
    def task(self) -> Task:
        """What the student is asked."""

    @property
    def teacher(self) -> TeacherSettings:
        """Which teacher, and how it is asked."""

    @property
    def budget(self) -> BudgetSettings:
        """The caps."""

    @property
    def student(self) -> StudentSettings:
        """Which student."""

    @property
    def training(self) -> TrainingSettings:
        """How the student is trained."""

    @property
    def evaluation(self) -> EvaluationSettings:
        """How the student is measured."""
