"""What attribution builds on: the rest of a computation, one answer, checks of an attribution."""
