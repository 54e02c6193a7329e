"""Examples and the task: reading data files, splits, the pool, overlap and diversity."""
