"""Compares presets and seeds at equal budget."""
