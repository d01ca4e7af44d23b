"""Runs as a record holds them, with numbers that can be worked out by hand."""

TASK = '[task]\nname = "depo"\nnodes = {nodes}\n'
CHANCE = {
    "uniform guess": {"accuracy": {"1": 0.125, "2": 0.125}, "exact": 0.01},
    "blind": {"accuracy": {"1": 0.1, "2": 0.2}, "exact": None},
}


def scores(one, two=None, exact=0.0):
    """Return an evaluation at one N: accuracy at 1 hop and at 2 hops."""
    accuracy = {"1": one} | ({} if two is None else {"2": two})
    return {"accuracy": accuracy, "exact": exact}


def entry(arm="sleep", n="1", passes=1, seed=0, steps=20, curve=None, end=None, **labels):
    """Return a run of 100 FLOPs a step that needs half a second for each, logged every 10 steps."""
    curve = {10: {n.rpartition("-")[2]: scores(0.2, 0.1)}} if curve is None else curve
    end = {"1": scores(0.9, 0.5, 0.3), "4": scores(0.6, 0.4, 0.2)} if end is None else end
    return {
        "name": f"{arm}-{n}-{passes}-{seed}",
        "labels": {
            "sweep": "s", "arm": arm, "n_train": n, "passes": passes, "axes": {}, "seed": seed,
            "cost": {"training": 50.0, "sleep": 7.0, "wake": 3.0},
            "identity": f"{arm} {n} {passes} {seed} {steps}", **labels,
        },
        "config": TASK.format(nodes=8),
        "commit": {"hash": "0123456789", "uncommitted_changes": False},
        "machine": {"processor": "paper", "cores": 2},
        "budget": {"steps": steps, "flops": 100.0 * steps},
        "task": "depo",
        "difficulty": "hops",
        "evaluation": {"count": 50},
        "chance": CHANCE,
        "loss": {"step": [10, 20], "loss": [2.0, 1.0], "seconds": [5.0, 10.0]},
        "curve": {"step": list(curve), "passes": list(curve.values())},
        "final": end,
    }  # fmt: skip


def record(*runs, title="A question"):
    return {"schema": "sleep-results/1", "sweep": "s", "title": title, "runs": list(runs)}
