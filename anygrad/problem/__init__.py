"""f and x, ready to be differentiated."""
