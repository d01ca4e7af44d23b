"""What the notebooks call: set-up, small experiments, pictures, and the checks of exercises.

Notebook cells only wire; whatever computes, draws or judges lives here, where it is tested.
Imports every floor below the views; of the rooms above the ground, only `display` knows Panel.
"""

from workbench.notebook.display import setup

__all__ = ["setup"]
