"""GOLD: data-free distillation with out-of-distribution feedback."""
