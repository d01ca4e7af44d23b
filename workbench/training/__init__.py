"""Optimisers, the loop, checkpoints and evaluation; imports tasks, sleep, model and below."""
