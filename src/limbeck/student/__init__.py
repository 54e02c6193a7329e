"""WEIGHTS: the only room that imports torch; its `settings` module does not, so that configs load quickly."""
