"""The files of a run; no other package knows their names."""
