"""The only room that imports torch. Its `settings` and `tables` modules don't, so that configs load quickly."""
