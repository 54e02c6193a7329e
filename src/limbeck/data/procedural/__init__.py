"""Procedural reasoning problems with exact solutions."""
