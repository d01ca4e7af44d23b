"""Compare the word problems of `gsm_infinite` with measurements of the published benchmark.

    python data/word_problems.py

writes data/results/tasks/word_problems.json and prints it as a table. The benchmark (GSM-Infinite,
arXiv 2502.05252) was measured on samples; a published value agrees where it lies in the range that
95 % of our own samples of that size have. Words, and so the sentences that fill a context, depend
on our word lists, and distinct answers on the size of a sample, which was not published: these are
shown and not compared.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from workbench.files import write_json
from workbench.tasks import batch_generator, task
from workbench.tasks.gsm_infinite.task import GsmInfinite

TARGET = Path(__file__).parent / "results/tasks/word_problems.json"
DRAWN = {"none": 4000, "official": 300}
PUBLISHED_SIZE = {"none": 100, "official": 60}
"""Problems a cell of the published table is taken to rest on (26 to 160 with noise)."""
RESAMPLES = 500
COMPARED = {
    "none": ("sentences", "commonest", "totals", "depth"),
    "official": ("commonest", "totals", "depth"),
}
MEASURES = ("sentences", "words", "commonest", "distinct", "totals", "depth")
PUBLISHED: dict[tuple[int, str, int], tuple[float | None, ...]] = {
    (2, "none", 2): (4.8, 86, 0.35, 4, 1.0, 2.0),
    (2, "none", 4): (5.2, 88, 0.24, 11, 0.92, 2.75),
    (2, "none", 6): (8.9, 165, 0.14, 29, 0.76, 3.3),
    (2, "none", 8): (7.6, 144, 0.10, 43, 0.67, 4.3),
    (3, "none", 1): (16.7, 409, 0.35, 4, 0.0, None),
    (3, "none", 2): (18.0, 444, 0.29, 4, 0.04, 2.0),
    (3, "none", 4): (11.8, 280, 0.24, 12, 0.71, 2.8),
    (3, "none", 5): (15.7, 394, 0.13, 26, 0.51, None),
    (3, "official", 2): (102, 3003, 0.35, 4, 0.03, 2.0),
    (3, "official", 4): (129, 3850, 0.40, 8, 0.81, 2.85),
    (3, "official", 6): (119, 3533, 0.18, 14, 0.61, 3.35),
    (3, "official", 8): (91, 2685, 0.09, 27, 0.33, 4.3),
    (2, "official", 2): (153, 3849, 0.31, 4, 1.0, None),
    (2, "official", 4): (150, 3806, 0.27, 10, 0.94, None),
    (2, "official", 6): (137, 3409, 0.22, 12, 0.63, None),
    (2, "official", 8): (134, 3390, 0.14, 28, 0.66, None),
}
"""(d, noise, op) -> the published measures, in the order of `MEASURES`; None: not measured."""


def measured(d: int, noise: str, operations: int) -> np.ndarray:
    """Return sentences, words, answer, total and depth of every problem, ``[problem, 5]``."""
    length = 600 if d == 2 else 1500
    if noise != "none":
        length = int(PUBLISHED[d, noise, operations][1] or 0)
    made = task(
        "gsm_infinite",
        d=d,
        noise=noise,
        length=length,
        min_operations=operations,
        max_operations=operations,
    )
    assert isinstance(made, GsmInfinite)
    rows = []
    for problem in made.problems(DRAWN[noise], batch_generator(0, operations)):
        [asked] = problem.questions
        words = len(made._context(problem))
        total = asked >= made._quantities.instances
        rows.append(
            (len(problem.definitions), words, problem.values[asked], total, problem.depths[asked])
        )
    return np.array(rows, dtype=float)


def summary(rows: np.ndarray) -> tuple[float, ...]:
    """Return the measures of a sample, in the order of `MEASURES`."""
    _, counts = np.unique(rows[:, 2], return_counts=True)
    means = rows.mean(axis=0)
    return means[0], means[1], counts.max() / len(rows), len(counts), means[3], means[4]


def compare() -> dict[str, Any]:
    """Return the record: of each setting, published value, ours, and the range of our samples."""
    table = []
    for (d, noise, operations), published in PUBLISHED.items():
        rows = measured(d, noise, operations)
        generator, size = np.random.default_rng(0), PUBLISHED_SIZE[noise]
        samples = [summary(generator.choice(rows, size, replace=False)) for _ in range(RESAMPLES)]
        low, high = np.percentile(samples, (2.5, 97.5), axis=0)
        ours = summary(rows)
        measures = {
            name: {
                "published": theirs,
                "ours": round(float(ours[i]), 3),
                "range": [round(float(low[i]), 3), round(float(high[i]), 3)],
                "agrees": bool(low[i] <= theirs <= high[i])
                if theirs is not None and name in COMPARED[noise]
                else None,
            }
            for i, (name, theirs) in enumerate(zip(MEASURES, published, strict=True))
        }
        table.append({"d": d, "noise": noise, "operations": operations, "measures": measures})
    sizes = {"drawn": DRAWN, "published_size": PUBLISHED_SIZE, "resamples": RESAMPLES}
    return {"source": "GSM-Infinite, arXiv 2502.05252", **sizes, "rows": table}


def as_table(record: dict[str, Any]) -> str:
    """Return the record as a Markdown table; a cell that disagrees is marked."""
    lines = ["| d, noise, op | " + " | ".join(MEASURES) + " |", "|---" * 7 + "|"]
    for row in record["rows"]:
        cells = []
        for found in row["measures"].values():
            mark = " (differs)" if found["agrees"] is False else ""
            theirs = "–" if found["published"] is None else f"{found['published']:g}"
            low, high = found["range"]
            cells.append(f"{theirs}; {found['ours']:.3g} [{low:.3g}, {high:.3g}]{mark}")
        lines.append(f"| {row['d']}, {row['noise']}, {row['operations']} | {' | '.join(cells)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    record = compare()
    write_json(TARGET, record)
    print(as_table(record))
