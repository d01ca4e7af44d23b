"""Recording a sleep and keeping it: recorder, schema, storage.

A trace is a plain `xarray.DataTree` of the schema ``sleep-trace/2``. Imports the floor of
training and below; knows no instrument and no figure.
"""

from workbench.trace.answers import answer_scores
from workbench.trace.inputs import batch_of, inputs_of
from workbench.trace.origin import STREAM, origin_of
from workbench.trace.recorder import joined, record, recorded_bytes, recorded_parts
from workbench.trace.schema import SCHEMA, validate_trace
from workbench.trace.storage import find_trace, groups_of, load_trace, record_to, save_trace

__all__ = [
    "SCHEMA",
    "STREAM",
    "answer_scores",
    "batch_of",
    "find_trace",
    "groups_of",
    "inputs_of",
    "joined",
    "load_trace",
    "origin_of",
    "record",
    "record_to",
    "recorded_bytes",
    "recorded_parts",
    "save_trace",
    "validate_trace",
]
