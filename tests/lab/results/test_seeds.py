"""Over seeds: means with intervals, and differences of arms, against scipy and by hand."""

from itertools import combinations

import numpy as np
import pytest
import xarray as xr
from recorded_runs import entry, record, scores
from scipy import stats

from workbench import dims
from workbench.errors import WorkbenchError
from workbench.lab.results import (
    conditions,
    dataset,
    difference,
    equivalence,
    final,
    over_seeds,
    with_n_test,
)


def seeds(*values, **coords):
    return xr.DataArray(
        np.array(values, dtype=float), {dims.SEED: range(len(values))}, [dims.SEED]
    ).assign_coords(coords)


def test_the_interval_of_two_seeds_by_hand():
    """Mean 0.5, standard error 0.5; t for one degree of freedom is 12.7062 = tan(0.475 pi)."""
    found = over_seeds(seeds(0, 1))
    ends = [float(found[n]) for n in ("mean", "low", "high", "count")]
    half = 0.5 * np.tan(0.475 * np.pi)
    assert ends == pytest.approx([0.5, 0.5 - half, 0.5 + half, 2])


def test_an_interval_is_of_its_own_cell_and_the_same_each_time():
    values = np.random.default_rng(0).random((3, 5))
    array = xr.DataArray(values, dims=["cell", dims.SEED])
    once = over_seeds(array)
    xr.testing.assert_identical(once, over_seeds(array))
    xr.testing.assert_identical(once.isel(cell=[2]), over_seeds(array.isel(cell=[2])))
    turned = over_seeds(array.transpose(dims.SEED, "cell"))
    xr.testing.assert_identical(once, turned)


def test_over_seeds_refuses_what_has_no_seeds():
    with pytest.raises(WorkbenchError, match=r"over \(cell\).*one over seed"):
        over_seeds(xr.DataArray([1.0], dims=["cell"]))


def pairs():
    """Return five seeds of sleep at N = 4 and of longer; seed 4 of longer is missing."""
    sleep = [entry("sleep", "4", 4, s, end={"4": scores(0.5 + s / 10)}) for s in range(5)]
    longer = [
        entry("longer", "1", 4, s, steps=40, end={"1": scores(0.4 + s / 10)}) for s in range(4)
    ]
    return dataset(record(*sleep, *longer))


def test_differences_are_unpaired_with_welchs_interval_and_the_exact_p():
    """Arms of 5 and 4 seeds, which may be other seeds: all of them count."""
    array = with_n_test(conditions(final(pairs())["accuracy"])).sel(difficulty=1)
    found = difference(array, ("sleep", "4"), ("longer@4", "1"))
    sleep, longer = 0.5 + np.arange(5) / 10, 0.4 + np.arange(4) / 10
    assert (int(found["count"]), int(found["other_count"])) == (5, 4)
    assert float(found["mean"]) == pytest.approx(sleep.mean() - longer.mean())
    welch = stats.ttest_ind(sleep, longer, equal_var=False)
    ends = float(found["low"]), float(found["high"])
    assert ends == pytest.approx(tuple(welch.confidence_interval()))
    assert float(found["p_welch"]) == pytest.approx(welch.pvalue)
    pooled = [*sleep, *longer]
    gaps = [abs(sum(c) / 5 - (sum(pooled) - sum(c)) / 4) for c in combinations(pooled, 5)]
    expected = np.mean(np.array(gaps) >= gaps[0] - 1e-9)
    assert float(found["p_exact"]) == pytest.approx(expected)
    back = difference(array, ("longer@4", "1"), ("sleep", "4"))
    assert float(back["mean"]) == pytest.approx(-float(found["mean"]))
    assert float(back["p_exact"]) == pytest.approx(expected)


def test_equality_needs_a_margin_wider_than_the_interval():
    array = with_n_test(conditions(final(pairs())["accuracy"])).sel(difficulty=1)
    near, wide = (
        equivalence(array, ("sleep", "4"), ("longer@4", "1"), margin) for margin in (0.2, 0.6)
    )
    assert float(near["p"]) > 0.05 > float(wide["p"])
    assert -0.6 < float(wide["low"]) and 0.2 < float(wide["high"]) < 0.6


def test_a_difference_of_what_is_not_there_names_what_is():
    array = with_n_test(conditions(final(pairs())["accuracy"]))
    with pytest.raises(WorkbenchError, match="sleep N = 4, longer@4 N = 1"):
        difference(array, ("sleep", "4"), ("sleep", "1"))
