"""For any notebook: `setup` prepares it, and `exploring.explore` gives a figure its controls.

Imports every floor below the views; only `display` knows Panel.
"""

from workbench.notebook.display import setup

__all__ = ["setup"]
