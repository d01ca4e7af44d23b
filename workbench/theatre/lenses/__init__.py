"""What the lenses "cause" and "credit" work out for a host, as plain data. Knows no host."""
