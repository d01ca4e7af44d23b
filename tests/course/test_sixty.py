"""Notebook 0: checks say something fitting about each mistake."""

import torch
from judged import judged
from solutions import solved

from sleep_course.exercises import sixty as checks

right = solved("sixty")

test_write = judged(
    checks.check_write,
    (lambda S, k, v, keep, beta: right.write(S, k, v, keep**2, beta), "order of the three steps"),
    (lambda S, k, v, keep, beta: right.write(S, k, v, keep, beta)[0], "keeps its shape"),
    (lambda S, k, v, keep, beta: right.write(S, k, v, keep, beta).mT.contiguous().mT, None),
    (lambda S, k, v, keep, beta: right.write(S, k, v, keep.mean() + 0 * keep, beta), "order"),
)

test_sleep_on = judged(
    checks.check_sleep_on,
    (lambda h, S, n, one_pass: (h, S), "Return S alone"),
    (lambda h, S, n, one_pass: right.sleep_on(h, S, 3, one_pass), "with another N"),
    (lambda h, S, n, one_pass: S + h * (2**n - 1) + 2**n - 1 - n, "another pass"),
)


def test_a_write_with_full_strength_is_read_back():
    S, k, v, keep, _ = checks.GIVEN
    written = right.write(S, k, v, keep, torch.ones_like(keep))
    torch.testing.assert_close((k[..., None, :] @ written)[..., 0, :], v)
