import numpy as np
import pytest

from sleep_course.exercises.check import Compared, NotYet, Verdict, Words, exercise
from workbench.model import Memory

WORDS = Words(
    {
        "right": "twice as much",
        "hint": "Use 2 * x.",
        "as it was": "not twice as much",
        "thrice": "three times as much",
        "by name": "no names",
        "three": "three numbers",
        "other shape": "{shape}, not {expected}",
        "zero": "wrong for zero",
        "otherwise": "{which} is not {twice}. {hint}",
    }
)


double_it = Compared(
    WORDS,
    lambda x: 2 * x,
    (np.ones(2),),
    mistakes={"as it was": [lambda x: -x, lambda x: x]},
    traits={"thrice": lambda found, right: (found == 1.5 * right).all()},
    shapes={dict: "by name", (3,): "three", None: "other shape"},
    elsewhere={"with other numbers": (np.arange(2.0),), "zero": [(np.zeros(2),), (0 * np.eye(2),)]},
    values=lambda found, right: {"which": "that", "twice": f"{right[0]:g}"},
)


def in_place(x):
    x *= 2
    return x


def broken(x):
    return x @ np.ones(5)


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (lambda x: ..., "returns nothing yet"),
        (lambda x: None, "returns nothing yet"),
        (lambda x: x, "not twice as much"),
        (lambda x: -x, "not twice as much"),
        (lambda x: 3 * x, "three times as much"),
        (lambda x: 4 * x, "that is not 2. Use 2 * x."),
        (lambda x: x + 1, "wrong for one with other numbers"),
        (lambda x: {"a": 2}, "no names"),
        (lambda x: [2, 2, 2], "three numbers"),
        (lambda x: 2, "(), not (2,)"),
        (lambda x: 2 * x if x.any() else [1, 1], "wrong for zero"),
        (lambda x: 2 * x if x.ndim == 1 else np.ones_like(x), "wrong for zero"),
        (lambda x: "two", "returns the text 'two', not an array"),
        (lambda x: x * np.nan, "not finite"),
        (in_place, "`in_place` changes what it was given"),
        (broken, "stopped at its line `return x @ np.ones(5)`: ValueError"),
        (2.0, "a function was expected, not float"),
    ],
)
def test_every_way_to_go_wrong_gets_a_sentence_and_no_exception(answer, says):
    verdict = double_it(answer)
    assert not verdict.right
    assert says in verdict.message
    assert repr(verdict).startswith("not yet: ")


def test_right_is_right_and_repeatable():
    assert (
        double_it(lambda x: 2 * x) == double_it(lambda x: 2 * x) == Verdict(True, "twice as much")
    )
    assert repr(double_it(lambda x: 2 * x)) == "right: twice as much"


def test_a_bug_in_the_check_itself_is_named_and_no_traceback():
    @exercise(WORDS)
    def wrong(say, answer):
        raise ZeroDivisionError("in the check")

    verdict = wrong(None)
    assert not verdict.right
    assert "ZeroDivisionError: in the check" in verdict.message


def test_functions_get_copies():
    given = np.zeros(3)
    seen = WORDS.call(lambda x: x, given)
    assert seen is not given


def test_a_memory_changed_in_place_is_noticed():
    import torch

    memory = Memory(fast_weights={0: torch.ones(1, 1, 2, 2)})

    def spoil(memory):
        memory.fast_weights[0].zero_()
        return memory

    with pytest.raises(NotYet, match="changes what it was given"):
        WORDS.call(spoil, memory)
    assert memory.fast_weights[0].sum() == 4


def test_the_way_to_copy_depends_on_what_was_changed():
    import torch

    def filled(x):
        x[:] = 1
        return x

    memory = Memory(fast_weights={0: torch.zeros(1, 1, 2, 2)})
    for given, says, not_said in (
        (np.zeros(2), "`.copy()`", "clone"),
        (torch.zeros(2), "`.clone()`", "copy"),
        (memory, "`.clone()`", "copy"),
        ([3, 2], "`list(...)`", "clone"),
    ):
        spoil = (lambda m: m.fast_weights[0].add_(1)) if given is memory else filled
        if isinstance(given, list):
            spoil = sorted_in_place
        with pytest.raises(NotYet, match="changes what it was given") as told:
            WORDS.call(spoil, given)
        assert says in str(told.value) and not_said not in str(told.value)


def sorted_in_place(x):
    x.sort()
    return x


def test_a_message_of_a_function_handed_over_is_passed_on():
    def score(fold):
        raise NotYet(f"there is no fold {fold!r}")

    with pytest.raises(NotYet, match=r"^there is no fold 'dev'$"):
        WORDS.call(lambda score: score("dev"), score)


def test_a_list_of_arrays_changed_in_place_is_noticed():
    def spoil(pairs):
        pairs[0][1][0] = 9.0
        return pairs

    pairs = [(np.zeros(2), np.zeros(3), 0.5)]
    with pytest.raises(NotYet, match="changes what it was given"):
        WORDS.call(spoil, pairs)
    with pytest.raises(NotYet, match="changes what it was given"):
        WORDS.call(lambda pairs: pairs.pop(), pairs)
    assert len(WORDS.call(lambda pairs: pairs, pairs)) == 1
