"""Asking, paying and remembering."""
