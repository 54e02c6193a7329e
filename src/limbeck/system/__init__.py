"""Operating-system helpers: atomic file writes, subprocesses, interrupts, terminal text, versions."""
