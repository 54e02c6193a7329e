"""What a run starts from: guarded data and the opened backend."""
