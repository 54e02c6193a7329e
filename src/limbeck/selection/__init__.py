"""Pure arithmetic: how many examples each domain gets, and which ones."""
