"""Measurements: the form that starts them, and how their records are shown."""
