"""A teacher that fails on demand."""
