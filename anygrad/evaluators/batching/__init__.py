"""Functions written for one point, called with a batched array that holds many."""
