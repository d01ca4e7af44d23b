"""What a run's folder says of how it was trained."""

import json


def steps_of(folder):
    """The steps that a run has logged, in the order of its file."""
    events = map(json.loads, (folder / "events.jsonl").read_text().splitlines())
    return [event["step"] for event in events if event["kind"] == "step"]


def starts_of(folder):
    """How often a run's training was started."""
    return len(json.loads((folder / "origin.json").read_text()))


def assert_same_weights(one, other):
    """Two runs ended with the same weights, bit for bit."""
    from safetensors.torch import load_file

    one, other = (load_file(f / "checkpoint" / "model.safetensors") for f in (one, other))
    assert one.keys() == other.keys()
    assert all((one[name] == other[name]).all() for name in other)
