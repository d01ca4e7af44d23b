"""The command `throughput`: its table, its record, and what it refuses."""

import json


def test_a_table_and_a_record(run, tmp_path):
    out = tmp_path / "t.json"
    words = ("--tokens", "32", "--windows", "16", "--passes", "1,2", "--repeats", "1")
    code, table, _ = run("throughput", "depo-n8-n1", *words, "--no-training", "--out", out)
    assert code == 0 and [line.split()[:3] for line in table.splitlines()[1:]] == [
        ["reading", window, n] for n in "12" for window in ("16", "all")
    ]
    record = json.loads(out.read_text())
    assert record["schema"] == "sleep-throughput/1" and record["tokens"] == 32
    assert [(row["window"], row["passes"]) for row in record["rows"]] == [
        (16, 1), (None, 1), (16, 2), (None, 2),
    ]  # fmt: skip
    assert record["provenance"]["commit"]


def test_what_cannot_be_measured(refused, tmp_path):
    refused("throughput", "depo-n8-n1", "--windows", "48", match="windows of 48 tokens")
    refused("throughput", "depo-n8-n1", "--windows", "4,x", match="not a valid number of tokens")
    refused("throughput", "no-model", match="no-model")
    (tmp_path / "file").write_text("")
    out = tmp_path / "file" / "t.json"  # told before the model is looked for
    refused("throughput", "no-model", "--out", out, match=str(out.parent))
