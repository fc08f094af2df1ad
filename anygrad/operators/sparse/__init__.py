"""Sparse Jacobians: columns that have no row in common are differentiated together."""
