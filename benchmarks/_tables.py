"""Write the tables of benchmarks/README.md again from benchmarks/results.

python3 benchmarks/_tables.py
"""

from __future__ import annotations

import json
from pathlib import Path
from statistics import median as median_of
from statistics import quantiles
from typing import Any

HERE = Path(__file__).resolve().parent
BEGIN, END = "<!-- results -->", "<!-- /results -->"


def main() -> None:
    """Rewrite the tables between the two marks."""
    path = HERE / "README.md"
    path.write_text(with_tables(path.read_text(encoding="utf-8")), encoding="utf-8")


def with_tables(text: str) -> str:
    """Return the page with everything between its marks made from the results."""
    before, _, rest = text.partition(BEGIN)
    after = rest.partition(END)[2]
    parts = [
        kernels(read("kernels-cpu.json")),
        step(read("training-step-cpu.json")),
        streaming(read("streaming-cpu.json")),
        pages(read("pages-cpu.json")),
    ]
    return f"{before}{BEGIN}\n" + "\n\n".join(filter(None, parts)) + f"\n{END}{after}"


def read(name: str) -> dict[str, Any] | None:
    """Return one record of ``results``, or None if it does not exist."""
    path = HERE / "results" / name
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None


def measured_on(machine: dict[str, Any]) -> str:
    """Return what a table was measured on."""
    versions = [f"{n} {machine[n]}" for n in ("torch", "transformers") if machine.get(n)]
    return (
        f"Measured on {machine['date']} on one thread of {machine['cpu']} ({machine['cores']} "
        f"cores, load {machine['load']} at the start), {', '.join(versions)}."
    )


def streaming(record: dict[str, Any] | None) -> str:
    """Return what a long text costs in memory, and a token awake in time."""
    if record is None:
        return ""
    rows = [
        f"| {one['tokens']:,} | {one['rss_most'] / 2**20:,.0f} | {one['memory_bytes'] / 2**20:.2f} "
        f"| {one['kv_bytes_of_full_attention'] / 2**20:,.0f} |"
        for one in record["memory"]
    ]
    ratios = (
        f"{r['median']:.3f} [{r['quartiles'][0]:.3f}, {r['quartiles'][1]:.3f}] at N = {n}"
        for n, r in record["ratio_to_n1"].items()
    )
    lines = [
        "## A long text in a stream",
        "",
        f"{record['model']} with six untrained fast-weight layers, windows of {record['window']} "
        f"tokens, N = 1. {measured_on(record['machine'])}",
        "",
        "| tokens | peak of the process, MiB | crosses a sleep, MiB | KV of full attention, MiB |",
        "|---|---|---|---|",
        *rows,
        "",
        f"Awake, a token takes {', '.join(ratios)} of the processor time at N = 1 (median "
        "[quartiles], round by round).",
    ]
    return "\n".join(lines)


def kernels(record: dict[str, Any] | None) -> str:
    """Return the table of the gated delta rule, forward and backward."""
    if record is None:
        return ""
    setting, rows = record["setting"], record["rows"]
    peers = list(dict.fromkeys(name for row in rows for name in row["ratios"]))
    lines = [
        "## The gated delta rule on a CPU thread",
        "",
        f"{setting['what'].capitalize()}, {setting['dtype']}, batch {setting['batch']}, "
        f"{setting['heads']} heads, key = value = d. Ratios: how many times longer the peer takes, "
        "median [quartiles] round by round. PyTorch: our own chunked form, backend `cpu`.",
        "",
        "| L | d | native, ms | " + " | ".join(peers) + " |",
        "|---|---|---|" + "---|" * len(peers),
    ]
    for row in rows:
        ours = row["times"]["native"]
        cells = [f"{ours['median_ms']:.1f}"]
        for peer in peers:
            ratio = row["ratios"].get(peer)
            cells.append(
                f"{ratio['median']:.1f}x [{ratio['low']:.1f}, {ratio['high']:.1f}]" if ratio else ""
            )
        lines.append(f"| {row['tokens']} | {row['dim']} | " + " | ".join(cells) + " |")
    return "\n".join([*lines, "", measured_on(record["machine"])])


def step(record: dict[str, Any] | None) -> str:
    """Return the table of a whole training step."""
    if record is None:
        return ""
    lines = [
        "## A whole training step on a CPU thread",
        "",
        f"The model of `depo-n8-any` at N = {record['passes']}, batch 64: sampling, loss, "
        "backward, clipping, Muon and AdamW. The peer is the same model in plain autograd PyTorch "
        "with `nn.Conv1d` (`_plain_model.py`) and `torch.optim.Muon`, from the same weights, on "
        "the same batches. *Without a compiler* is the workbench with backend `cpu`, PyTorch "
        "alone.",
        "",
        "| workbench | peer | workbench, ms | peer, ms | ratio | without the optimisers |",
        "|---|---|---|---|---|---|",
    ]
    for mode in ("eager", "compiled"):
        if mode not in record:
            continue
        found = record[mode]
        ours = found["times"]["workbench"]["median_ms"]
        for peer, ratio in found["ratios"].items():
            lines.append(
                f"| {mode} | {peer} | {ours:.0f} | {found['times'][peer]['median_ms']:.0f} | "
                f"{ratio['median']:.2f}x [{ratio['low']:.2f}, {ratio['high']:.2f}] | "
                f"{found['ratios_without_optimisers'][peer]['median']:.2f}x |"
            )
    if "compiled" in record:
        alone = record["eager"]["times"]["plain autograd"]["median_ms"]
        ours = record["compiled"]["times"]["workbench"]["median_ms"]
        lines += [
            "",
            "In the compiled run three sides take turns, which may change the time of the peer's "
            f"eager step. Against its time in the eager run, ours compiled is {alone / ours:.2f}x.",
        ]
    apart = max(
        record[mode]["largest_difference_of_losses"]
        for mode in ("eager", "compiled")
        if mode in record
    )
    floor, rate = record["floor_ms"], record["matmul_flops_per_second"] / 1e9
    ours = record["eager"]["times"]["workbench"]["median_ms"]
    lines += [
        "",
        f"Losses agree to {apart:.0e} over {record['eager']['steps']} steps. The floor, "
        f"{record['flops'] / 1e9:.1f} GFLOP of matrix products at this machine's {rate:.0f} "
        f"GFLOP/s, is {floor:.0f} ms: the eager step takes {ours / floor:.1f} times as long.",
    ]
    peaks = record["peak_bytes"]
    if all(peaks.values()):
        sizes = ", ".join(f"{side} {size / 1e6:.0f} MB" for side, size in peaks.items())
        lines.append(f"Peak memory that ten steps add to a process: {sizes}.")
    return "\n".join([*lines, "", measured_on(record["machine"])])


def pages(record: dict[str, Any] | None) -> str:
    """Return the table of steps on screen, and what instruments take."""
    if record is None:
        return ""
    sides = record["pages"]
    lines = [
        "## How long the pages take",
        "",
        "Milliseconds from the navigation (words: first contentful paint; usable: what the page is "
        "for is there) or from a key or click to the next frame; in Explore "
        f"`{record['checkpoint']}` at N = 4; median [quartiles].",
        "",
        "| what | " + " | ".join(sides) + " |",
        "|---|" + "---|" * len(sides),
    ]
    for what in sides["after"]:
        cells = []
        for rows in sides.values():
            low, median, high = quantiles(sorted(rows[what]), n=4) if what in rows else (0, 0, 0)
            cells.append(f"{median:,.0f} [{low:,.0f}, {high:,.0f}]" if what in rows else "")
        lines.append(f"| {what} | {' | '.join(cells)} |")
    for side, sizes in record.get("memory_mb", {}).items():
        lines += ["", f"Memory of the server, {side}: {sizes[0]:.0f} MB before the visits that "
                      f"`--sessions` asks for, at most {max(sizes):.0f} MB during them, "
                      f"{sizes[-1]:.0f} MB after."]  # fmt: skip
    if "recording" in record:
        recorded, probed = record["recording"], record["probe_map"]
        lines += [
            "",
            "Recording 64 examples with all states at N = 4: "
            f"{median_of(recorded['seconds']):.2f} s and {recorded['bytes'] / 1e6:.1f} MB. A probe "
            f"map of {probed['layer']} layers x {probed['sleep_pass']} passes x {probed['target']} "
            f"targets x {probed['splits']} splits of {probed['examples']} examples, with control "
            f"tasks, on two cores: {median_of(probed['seconds']):.0f} s.",
        ]
    machine = record["machine"]
    return "\n".join(
        [
            *lines,
            "",
            f"Measured on {machine['date']} on {machine['cores']} cores of {machine['cpu']} (load "
            f"{machine['load']} at the start), torch {machine['torch']}, panel {machine['panel']}.",
        ]
    )


if __name__ == "__main__":
    main()
