"""Pretrained models of transformers that sleep; they know no task, and no training.

May import `model` and what is below it. transformers itself is imported inside functions alone.
"""
