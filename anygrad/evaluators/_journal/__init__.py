"""How `Journal` works: a file of values, and what it is known by."""
