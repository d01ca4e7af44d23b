"""The page of measurements over many examples."""
