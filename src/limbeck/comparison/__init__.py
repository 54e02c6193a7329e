"""Presets and seeds compared at equal budget."""
