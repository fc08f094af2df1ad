"""Operators: which derivative is wanted."""
