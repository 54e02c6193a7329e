"""What a run begins with: data behind its guards, and the opened backend."""
