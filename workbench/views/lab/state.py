"""Filters and selected runs of a session of the lab, and how the address says them."""

from __future__ import annotations

import re
from collections.abc import Mapping

import param

from workbench.lab.runs import NAME
from workbench.views.lab.rows import SHOWN_STATES

NAMES = {"text": "text", "state": "state", "sweep": "experiment", "selected": "runs"}
"""Parameters and their names in the address."""
FILTERS = ("text", "state", "sweep")
LONGEST = 100


class LabState(param.Parameterized):
    """Filters and selection of one session."""

    text = param.String("", doc="Words to look for in names.")
    state = param.String("", doc="State to be shown; empty for all.")
    sweep = param.String("", doc="Experiment to be shown; empty for all.")
    selected = param.List(default=[], item_type=str, doc="Names of the selected runs.")
    turn = param.Integer(0, doc="Number of the browser's newest choice; set after the choice.")

    def address(self) -> dict[str, str]:
        """Return the state as the address says it; what is not set is left out."""
        found = {NAMES[name]: getattr(self, name) for name in FILTERS}
        found[NAMES["selected"]] = ",".join(self.selected)
        return {name: value for name, value in found.items() if value}

    def restore(self, query: Mapping[str, str], known: set[str], sweeps: list[str]) -> list[str]:
        """Set the state from an address; return what had to be left out, in sentences.

        `known` are the names of the runs that exist, `sweeps` those of the experiments.
        """
        problems = []
        text = query.get(NAMES["text"], "")[:LONGEST]
        chosen = {}
        for name, what, allowed in (
            ("state", "state", SHOWN_STATES),
            ("sweep", "experiment", sweeps),
        ):
            chosen[name] = query.get(NAMES[name], "")
            if chosen[name] and chosen[name] not in allowed:
                problems.append(f"there is no {what} {chosen[name][:LONGEST]!r}")
                chosen[name] = ""
        asked = [name for name in re.split(r"[, ]+", query.get(NAMES["selected"], "")) if name]
        found = [name for name in dict.fromkeys(asked) if name in known and NAME.fullmatch(name)]
        gone = len(set(asked)) - len(found)
        if gone:
            problems.append(
                f"{'a run' if gone == 1 else f'{gone} runs'} in the address "
                f"{'does' if gone == 1 else 'do'} not exist"
            )
        self.param.update(text=text, selected=found, **chosen)
        return problems
