"""BalDistill: multi-stage balanced distillation."""
