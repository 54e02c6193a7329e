"""The methods, one package per paper; each ``loop.py`` reads top to bottom like the paper's pseudo-code."""
