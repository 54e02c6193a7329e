"""What a teacher is asked for: how prompts are built and replies parsed."""
