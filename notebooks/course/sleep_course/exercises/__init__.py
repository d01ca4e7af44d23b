"""The checks of the exercises, a module for each lesson; `check` holds what they share.

Each check takes the learner's function, or two, and returns a `Verdict`; `words` has what it says.
"""
