"""The theatre: one example's sleep as a scene, and the hosts that show it.

    a model, or a trace -> `recording` -> `scene` -> `container` (bytes) -> static/theatre.js

Imports the floor of measurements and below; knows no Panel and no page.
"""
