"""THE PAPERS: one method a file, read top to bottom like pseudo-code."""
