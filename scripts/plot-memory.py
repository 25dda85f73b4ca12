#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""Draw what the demo's guests wrote down once every 0.2 s: memory that the host can
see, and how much of it was in use, over time for each allocator. Reads
out/demo/<allocator>/files/memory.tsv (seconds, bytes shared, bytes in use, what the
guest did), writes out/plots/demo-memory.{svg,png}."""
import os
import sys

OUT = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "out")
BACKENDS = {"none": "none: no bouncing, nothing is shared", "legacy": "legacy: a pool of 64 MiB",
            "dynamic": "dynamic: SWIOTLB_DYNAMIC from 64 MiB", "cc": "cc: swiotlb=cc"}
COLOR = {"none": "#999999", "legacy": "#d1495b", "dynamic": "#edae49", "cc": "#00798c"}


def read(path):
    """[(seconds from the first line on, MiB shared, MiB in use, phase)]"""
    with open(path, encoding="utf-8") as f:
        rows = [line.rstrip("\n").split("\t") for line in f]
    start = float(rows[0][0])
    return [(float(t) - start, int(s) / 2**20, int(u) / 2**20, phase) for t, s, u, phase in rows]


def draw(ax, rows, color):
    seconds, shared, used, phases = zip(*rows)
    ax.fill_between(seconds, shared, step="post", color=color, alpha=0.25, label="shared with the host")
    ax.step(seconds, shared, where="post", color=color)
    ax.fill_between(seconds, used, step="post", color=color, label="in use by mappings")
    top = ax.get_ylim()[1]
    for i, phase in enumerate(phases):
        if i == 0 or phase != phases[i - 1]:
            ax.axvline(seconds[i], color="black", lw=0.6, ls=":")
            ax.annotate(phase, (seconds[i], top), (3, 0), textcoords="offset points",
                        fontsize=8, va="top", rotation=90)
    ax.margins(x=0)


def main():
    files = {b: f"{OUT}/demo/{b}/files/memory.tsv" for b in BACKENDS}
    data = {b: read(f) for b, f in files.items() if os.path.exists(f) and os.path.getsize(f)}
    if not data:
        sys.exit("error: no plot of memory, nothing was sampled: run 'make demo' first")
    try:
        import matplotlib
    except ImportError:
        sys.exit("error: no plot of memory, matplotlib is missing: run 'scripts/deps.sh python3-matplotlib'")
    matplotlib.use("svg")
    from matplotlib import pyplot as plt
    plt.rcParams.update({"font.size": 10, "axes.grid": True, "grid.alpha": 0.3, "svg.hashsalt": "cc",
                         "axes.spines.top": False, "axes.spines.right": False, "axes.axisbelow": True})
    os.makedirs(f"{OUT}/plots", exist_ok=True)

    fig, axes = plt.subplots(len(data), 1, figsize=(9, 2.2 * len(data) + 0.8), sharex=True, sharey=True,
                             squeeze=False)
    most = max(shared for rows in data.values() for _, shared, _, _ in rows)
    for ax, (backend, rows) in zip(axes[:, 0], data.items()):
        ax.set_ylim(0, most * 1.45 or 1)
        draw(ax, rows, COLOR[backend])
        ax.set_title(BACKENDS[backend], loc="left")
        ax.set_ylabel("MiB")
        if backend != "none":
            ax.legend(fontsize=8, loc="lower right", bbox_to_anchor=(1, 1), ncol=2, frameon=False)
    axes[-1, 0].set_xlabel("seconds since the I/O began (each guest at its own speed)")
    fig.suptitle("Bounce buffers during the same verified I/O")
    fig.tight_layout()
    fig.savefig(f"{OUT}/plots/demo-memory.svg", metadata={"Date": None})
    fig.savefig(f"{OUT}/plots/demo-memory.png", dpi=130)


main()
