"""Engines: where students are trained, scored and evaluated."""
