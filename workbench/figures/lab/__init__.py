"""Figures of experiments: accuracy, cost, latency and learning, over arms, N and seeds."""
