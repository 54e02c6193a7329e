"""MEASURING: metrics by domain with intervals, and how a student's predictions are made."""
