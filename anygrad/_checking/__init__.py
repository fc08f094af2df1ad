"""What `check_gradient` is made of."""
