"""YAML to validated settings."""
