"""Evaluation: a student's predictions, metrics by domain with intervals, and statistics over seeds."""
