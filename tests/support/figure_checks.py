"""What every figure has to be, and traces by their name."""

from __future__ import annotations

from typing import Any

import plotly.graph_objects as go

from workbench.figures.theme import BYTES, INKS


def named(figure: go.Figure, name: str) -> list[Any]:
    """Return the traces of a name."""
    return [trace for trace in figure.data if trace.name == name]


def check_dark(figure: go.Figure) -> None:
    """Check a figure of the dark theme: it is light enough to send, and has its theme."""
    text = figure.to_json()
    assert len(text.encode()) <= BYTES
    assert '"f8"' not in text, "float64 in a figure"
    assert figure.layout.height >= 100
    assert figure.layout.template.layout.font.color == INKS["dark"].text
    assert figure.layout.template.layout.paper_bgcolor == "rgba(0,0,0,0)"
