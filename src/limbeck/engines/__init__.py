"""Where student work runs."""
