"""Experiments: arms, sweeps, the run store, processes and their queue, results over seeds.

May import training and everything below; figures and views read what this room returns.
"""
