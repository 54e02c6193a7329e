"""The machine: files written whole or not at all, subprocesses, interrupts, terminal text, versions."""
