"""What a run folder says, as tables and Markdown."""
