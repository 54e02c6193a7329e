"""Reports on runs and comparisons, as tables and Markdown."""
