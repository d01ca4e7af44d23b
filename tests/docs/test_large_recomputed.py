"""What docs/findings.md says of throughput and of the retrofit, from the records alone."""

import numpy as np
import pytest
from findings_page import SECTIONS, TOP, prose, record, rows
from scipy.stats import binomtest


def cell(values):
    return "" if values is None else "{1:,.3g} [{0:,.3g}, {2:,.3g}]".format(*values)


@pytest.mark.parametrize("name", ["text-names", "smollm2-recall"])
def test_throughput_in_windows_and_at_once(name):
    found = record(name, "throughput")
    assert not found["provenance"]["commit"]["uncommitted_changes"]
    wanted = [
        [
            str(r["window"] or "all"),
            str(r["passes"]),
            cell(r["tokens_per_second"]),
            cell(r["ratio"]),
        ]
        for r in found["rows"]
    ]
    assert [row[1:5] for row in rows(name, "throughput", "")] == wanted


def test_what_is_said_of_throughput():
    text = " ".join(" ".join(SECTIONS.values()).split())
    reading = [r for r in record("text-names", "throughput")["rows"] if not r["training"]]
    for window in (256, 64):
        ratios = [r["ratio"][1] for r in reading if r["window"] == window]
        assert f"{min(ratios):.2f} to {max(ratios):.2f} times" in text
    speed = {r["passes"]: r["tokens_per_second"][1] for r in reading if r["window"] == 256}
    assert speed[1] / speed[4] == pytest.approx(4, rel=0.1)
    assert speed[1] / speed[2] == pytest.approx(2, rel=0.1)


def test_what_the_retrofit_recalls():
    (run,) = record("smollm2-recall", "retrofit")["runs"]
    evaluation = run["evaluation"]
    asked = 4 * evaluation["count"]
    named = {f"N = {n}": entry for n, entry in evaluation["passes"].items()} | evaluation["base"]
    found = dict(rows("smollm2-recall", "retrofit", "read"))
    assert list(found) == ["N = 0", "N = 1", "N = 2", "N = 4", *evaluation["base"]]
    for reading, text in found.items():
        share = named[reading]["accuracy"]["1"]
        assert share * asked == pytest.approx(round(share * asked), abs=1e-6)
        ends = binomtest(round(share * asked), asked).proportion_ci(method="wilson")
        # the four questions of a text count as one case, which moves the ends a little
        np.testing.assert_allclose(named[reading]["interval"]["accuracy"]["1"], ends, atol=2e-3)
        assert text.startswith(f"{share:.3f}")
    said = prose("A pretrained model learns to remember")
    assert f"{run['budget']['seconds'] / 60:.0f} minutes of training" in said
    assert f"({run['budget']['parameters'] / 1e6:.1f} million parameters)" in said
    assert f"{asked:,} questions" in said and f"of {asked:,} values" in TOP
    assert run["commit"]["uncommitted_changes"]  # as the section says
