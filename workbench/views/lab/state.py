"""Where a session of the lab stands: filters and selected runs, and their form in the address."""

from __future__ import annotations

import re
from collections.abc import Mapping

import param

from workbench.lab.runs import NAME
from workbench.views.lab.rows import SHOWN_STATES

NAMES = {"text": "text", "state": "state", "sweep": "experiment", "selected": "runs"}
"""Parameters and their names in the address."""
LONGEST = 100


class LabState(param.Parameterized):
    """Filters and selection of one session."""

    text = param.String("", doc="Words to look for in names.")
    state = param.String("", doc="State to be shown; empty for all.")
    sweep = param.String("", doc="Experiment to be shown; empty for all.")
    selected = param.List(default=[], item_type=str, doc="Names of the selected runs.")

    def address(self) -> dict[str, str]:
        """Return the state as it stands in the address; what is not set is left out."""
        found = {NAMES[name]: getattr(self, name) for name in ("text", "state", "sweep")}
        found[NAMES["selected"]] = ",".join(self.selected)
        return {name: value for name, value in found.items() if value}

    def restore(self, query: Mapping[str, str], known: set[str], sweeps: list[str]) -> list[str]:
        """Set the state from an address; return what had to be left out, in sentences.

        Parameters
        ----------
        query : mapping
            Names and values of the address.
        known : set of str
            Names of the runs there are.
        sweeps : list of str
            Names of the experiments there are.
        """
        problems = []
        text = query.get(NAMES["text"], "")[:LONGEST]
        state = query.get(NAMES["state"], "")
        if state and state not in SHOWN_STATES:
            problems.append(f"there is no state {state[:LONGEST]!r}")
            state = ""
        sweep = query.get(NAMES["sweep"], "")
        if sweep and sweep not in sweeps:
            problems.append(f"there is no experiment {sweep[:LONGEST]!r} here")
            sweep = ""
        asked = [name for name in re.split(r"[, ]+", query.get(NAMES["selected"], "")) if name]
        found = [name for name in dict.fromkeys(asked) if name in known and NAME.fullmatch(name)]
        gone = len(set(asked)) - len(found)
        if gone:
            problems.append(
                f"{'a run' if gone == 1 else f'{gone} runs'} of the address "
                f"{'is' if gone == 1 else 'are'} not here"
            )
        self.param.update(text=text, state=state, sweep=sweep, selected=found)
        return problems
