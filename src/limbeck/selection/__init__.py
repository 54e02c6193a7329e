"""PURE ARITHMETIC: how many examples a domain gets, and which ones."""
