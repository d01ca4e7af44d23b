"""Figures of what the instruments read from a trace."""
