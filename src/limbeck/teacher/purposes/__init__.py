"""What a teacher is asked for: prompts, and how replies are read."""
