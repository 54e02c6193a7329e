"""Runs a config from data to student, and evaluates students."""
