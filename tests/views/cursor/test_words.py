"""Sentences on the stepper say what is so, whatever the sleep."""

import numpy as np
import pytest
import xarray as xr

from workbench.config import SleepConfig
from workbench.figures import change_words
from workbench.tasks import task
from workbench.views.cursor import words
from workbench.views.cursor.cursor import BoundaryIndex, Extent

EXTENT = Extent((2, 1), (False, True), (1,), 2)


def where(boundary, change=0.5, **sleep):
    settings = SleepConfig(window=8, **sleep)
    return words.where(BoundaryIndex(*boundary), EXTENT, change, settings)[1]


def test_numbers_have_one_minus_and_zero_has_none():
    given = (-1.5, 2.0, -0.001, 0.0)
    assert [words.signed(v) for v in given] == ["−1.50", "2.00", "0.00", "0.00"]
    assert [words.signed(v, 1, plus=True) for v in given] == ["−1.5", "+2.0", "0.0", "0.0"]


def test_a_hard_eviction_leaves_s_alone():
    said = where((1, 0))
    assert "The KV cache of window 1 is gone; S alone crossed the boundary." in said
    assert "answered from S. " in where((1, 1))


def test_a_sliding_eviction_keeps_the_newest_tokens():
    said = where((1, 0), eviction="sliding")
    assert "The older tokens' KV cache is gone" in said
    assert "S and the KV cache of the newest 7 tokens crossed the boundary" in said
    assert "S and the KV cache of the newest 7 tokens" in where((1, 1), eviction="sliding")


def test_convolution_tails_cross_as_well():
    assert "S and the convolution tails crossed" in where((1, 0), conv_state="carry")
    both = where((1, 0), conv_state="carry", eviction="sliding")
    assert "S, the convolution tails and the KV cache of the newest 7 tokens crossed" in both


@pytest.mark.parametrize(
    ("change", "said"),
    [(0.256, "S changed by 26 % of its norm"), (np.nan, "S stayed 0"), (np.inf, "S became 0")],
)
def test_changes_in_words(change, said):
    assert change_words(change) == said
    assert said in where((0, 1), change)


def answers(given):
    return xr.Dataset(
        {
            "correct": ("query", [True, False]),
            "given": ("query", given),
            "difficulty": ("query", [1, 2]),
            "chance": ("query", [0.5, 1.0]),
        }
    )


@pytest.mark.parametrize(
    ("given", "heading"),
    [
        ([False, False], "If the model woke now"),
        ([True, False], "Answered so far, and what would follow"),
        ([True, True], "The answers, awake"),
    ],
)
def test_the_score_says_what_was_given_awake(given, heading):
    html = words.score(answers(given), task("depo", nodes=8, max_hops=4, queries=8))
    assert f"<h2>{heading}</h2>" in html
    assert "<b>1 of 2</b> right" in html and "(a guess: 75 %)" in html, "the mean of both queries"
    assert words.score_sentence(answers(given)) == f"{heading}: 1 of 2 right."
