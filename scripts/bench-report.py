#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""Merge the records of the benchmarks that have run (out/bench-*.json) into
out/bench.json, write the tables (out/bench.md) and the plots (out/plots/), and
compute the model for many CPUs. Needs matplotlib for the plots only."""
import json
import os
import sys

OUT = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "out")
SIZES = [512, 2048, 4096, 16384, 65536, 131072, 262144, 524288]
FILLS = [0, 50, 90, 99]
FIO_SIZES = ["512", "4k", "16k", "64k", "128k", "512k", "mixed"]
# Backends with their pool, as in the names of records, and how they are drawn.
POOLS = [("legacy", "", "legacy 64 MiB"), ("legacy", "-1GiB", "legacy 1 GiB"),
         ("dynamic", "", "dynamic from 64 MiB"), ("cc", "", "cc, 64 MiB in use"),
         ("cc", "-1GiB", "cc, 1 GiB in use")]
COLOR = {"none": "#999999", "legacy": "#d1495b", "legacy-1GiB": "#7b2d26",
         "dynamic": "#edae49", "cc": "#00798c", "cc-1GiB": "#003d5b"}

# What a cache line costs to fetch from another CPU, ns: within a socket and from
# the other one, at the upper end of what is measured on current x86 servers (for
# example by github.com/nviennot/core-to-core-latency).
LINE_NS = {"same socket": 50, "other socket": 200}
# Lines that a depot operation takes from others: the lock with the head (one
# line), and the metadata of the chain's first slot.
DEPOT_LINES = 2
MODEL_CPUS = 96
MODEL_RATE = 500e3  # bounced mappings a second and CPU: 48 million in all


def human(size):
    return f"{size // 1024}K" if size >= 1024 else str(size)

# The RFC's histogram: share of allocations up to each size.
RFC_SHARES = {512: 0.035, 2048: 0.577, 4096: 0.913, 16384: 0.960, 524288: 1.0}
DEFAULT_CLASSES = [512 << i for i in range(11)]


def load():
    docs, table = {}, {}
    for part in ("native", "icount", "fio"):
        path = f"{OUT}/bench-{part}.json"
        if os.path.exists(path):
            with open(path, encoding="utf-8") as f:
                docs[part] = json.load(f)
            for r in docs[part]["results"]:
                table[part, r["name"], r["backend"], r["metric"]] = r["value"]
    return docs, table


def markdown(head, rows):
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    lines += ["| " + " | ".join("" if c is None else str(c) for c in r) + " |" for r in rows]
    return "\n".join(lines) + "\n"


def native_cell(t, backend, pool, fill, size):
    name = f"fill{fill}-{size}{pool}"
    ns = t.get(("native", name, backend, "ns"))
    if ns is not None:
        return f"{ns:.0f}"
    if ("native", name, backend, "failed") in t:
        ns = t[("native", name, backend, "failed_ns")]
        return f"fails, {ns / 1000:.0f} us"
    return None


def native(t):
    out = ["## Real time: map + unmap without the copy, ns (UML, 2 CPUs)\n"]
    rows = [[label, f"{fill} %"] + [native_cell(t, b, p, fill, s) for s in SIZES]
            for b, p, label in POOLS for fill in FILLS
            if ("native", f"fill{fill}-4096{p}", b, "ns") in t
            or ("native", f"fill{fill}-4096{p}", b, "failed") in t]
    copy = [round(t.get(("native", f"fill0-{s}", "cc", "copy_ns"), 0)) for s in SIZES]
    out.append(markdown(["allocator", "filled"] + [human(s) for s in SIZES],
                        rows + [["the copy alone", ""] + copy]))

    def ns(b, fill, s, p=""):
        return t.get(("native", f"fill{fill}-{s}{p}", b, "ns"))

    ratio = [f"{ns('legacy', 0, s) / ns('cc', 0, s):.1f}"
             if ns("legacy", 0, s) and ns("cc", 0, s) else None for s in SIZES]
    flat = []
    for s in SIZES:
        v = [ns("cc", f, s, p) for f in FILLS for p in ("", "-1GiB")]
        v = [x for x in v if x is not None]
        # The clock and the copy hide what is that much less than the copy.
        if v and max(v) < 0.005 * t.get(("native", f"fill0-{s}", "cc", "copy_ns"), 0):
            flat.append("all below 0.5 % of the copy")
        else:
            flat.append(f"{max(v) / min(v):.2f}" if v and min(v) > 0 else None)
    out.append(markdown(["cc against"] + [human(s) for s in SIZES],
                        [["legacy / cc, empty"] + ratio, ["cc: highest / lowest of all fill levels"] + flat]))

    rows = []
    for b in ("legacy", "dynamic", "cc"):
        row = [b]
        for s in (512, 4096, 16384):
            one = t.get(("native", f"threads1-{s}", b, "ns_with_copy"))
            two = t.get(("native", f"threads2-{s}", b, "ns_with_copy"))
            row.append(f"{2 * one / two:.2f}" if one and two else None)
        for s in (512, 4096, 16384):
            one = t.get(("native", f"remote1-{s}", b, "ops_per_ms"))
            two = t.get(("native", f"remote2-{s}", b, "ops_per_ms"))
            row.append(f"{two / one:.2f}" if one and two else None)
        row += [t.get(("native", f"sync-{s}", b, "ns")) for s in (64, 256, 1500)]
        rows.append(row)
    out.append(markdown(["two CPUs / one", "512", "4K", "16K", "512, remote", "4K, remote", "16K, remote",
                         "sync of 64 B, ns", "256 B", "1500 B"], rows))

    rows = [[m, t.get(("native", f"magazine-{m}", "cc", "ops_per_ms")),
             t.get(("native", f"magazine-{m}", "cc", "inbox_writes_per_1000_maps")),
             t.get(("native", f"magazine-{m}", "cc", "depot_locks_per_1000_maps"))]
            for m in (8, 16, 32, 64, 128)]
    out.append(markdown(["slots in a magazine", "remote completion, 4K, 1/ms",
                         "writes to inboxes", "depot locks, per 1000 mappings"], rows))
    rows = [[how, t.get(("native", f"lookup-{how}", "cc", "hot_ns")),
             t.get(("native", f"lookup-{how}", "cc", "random_ns"))]
            for how in ("table", "xarray", "page")]
    out.append(markdown([f"find a chunk by address, ns ({t.get(('native', 'lookup', 'cc', 'chunks'))} chunks)",
                         "16 addresses", "4096 random addresses"], rows))
    rows = [[label, t.get(("native", f"depot-{how}", "cc", "ns"))]
            for how, label in (("list", "depot, a list of magazines"), ("none", "no depot"))]
    out.append(markdown(["behind the magazines", "1024 slots of 4K, ns per slot"], rows))
    rows = [[human(b), t.get(("native", f"block-{b}", "cc", "grow_ns_per_mib")),
             t.get(("native", f"block-{b}", "cc", "shrink_ns_per_mib"))] for b in (65536, 524288, 2097152)]
    out.append(markdown(["block", "share, ns per MiB", "return, ns per MiB"], rows))
    rows = [[label, t.get(("native", f"scheme-{how}", "cc", "ns_per_pop_and_push"))]
            for how, label in (("list", "one word and a list, cmpxchg"), ("array", "array and a busy byte"),
                               ("locked", "one word and a list, LOCK cmpxchg"))]
    out.append(markdown(["scheme of a magazine", "pop + push, ns"], rows))
    return out


def icount(t, doc):
    sizes = [s for s in SIZES if ("icount", f"cc-{human(s)}", "cc", "map_instructions") in t]
    out = [f"## Instructions of map + unmap, Linux {doc['kernel']} x86_64\n"]

    def row(label, name, b):
        def cell(s):
            of = ("icount", f"{name}-{human(s)}", b)
            return "fails" if (*of, "failed") in t else t.get((*of, "overhead_instructions"))
        return [label] + [cell(s) for s in sizes]

    rows = [row("legacy", "legacy", "legacy"), row("patched, not selected", "not-selected", "legacy"),
            row("cc", "cc", "cc"),
            ["the copy"] + [t.get(("icount", f"cc-{human(s)}", "cc", "copy_instructions")) for s in sizes]]
    out.append(markdown(["without copy and unbounced path"] + [human(s) for s in sizes], rows))
    rows = [[b] + [t.get(("icount", f"{b}-2cpus", b, m)) for m in
                   ("locked_instructions", "irq_flag_instructions", "shared_lines_written")]
            for b in ("legacy", "cc")]
    out.append(markdown(["two CPUs, per map + unmap", "LOCK", "cli, sti, pushf, popf",
                         "lines that both write"], rows))
    return out


def over_legacy(t, name, metric):
    """The median of the rounds, lowest and highest."""
    v = [t.get(("fio", name, "cc", f"{metric}_over_legacy{m}")) for m in ("", "_min", "_max")]
    return None if None in v else "{:.2f} ({:.2f} to {:.2f})".format(*v)


def fio_gain(t, name):
    """Of cc over legacy: in bytes per second, and in I/Os per instruction."""
    counts = [t.get(("fio", name, b, "instructions_per_io")) for b in ("legacy", "cc")]
    return (t.get(("fio", name, "cc", "mib_s_over_legacy")),
            None if None in counts else counts[0] / counts[1])


def fio(t):
    out = ["## fio in the guest: IOPS, and cc over legacy\n"]
    rows = []
    for disks in (1, 21):
        for rw in ("randread", "randwrite", "randrw"):
            for bs in FIO_SIZES:
                for depth in (1, 256):
                    n = f"{disks}disks-{rw}-{bs}-{depth}"
                    iops = [t.get(("fio", n + p, b, "iops")) for b, p in
                            (("none", ""), ("legacy", ""), ("legacy", "-1GiB"), ("dynamic", ""), ("cc", ""))]
                    gain = fio_gain(t, n)
                    if gain == (None, None):
                        continue
                    rows.append([disks, rw, bs, depth, *[None if i is None else round(i) for i in iops],
                                 over_legacy(t, n, "mib_s"),
                                 *[t.get(("fio", n, b, "instructions_per_io")) for b in ("legacy", "cc")],
                                 None if gain[1] is None else f"{gain[1]:.2f}",
                                 t.get(("fio", n, "cc", "magazine_hit_rate")),
                                 t.get(("fio", n, "cc", "waste"))])
    out.append(markdown(["disks", "", "size", "depth", "none", "legacy 64 MiB", "legacy 1 GiB", "dynamic", "cc",
                         "cc / legacy", "instructions per I/O, legacy", "cc", "legacy / cc",
                         "hit rate", "slot / requested bytes"], rows))
    rows = []
    for way in ("send", "receive"):
        for size in ("64", "1500", "64k"):
            n = f"net-{way}-{size}"
            m = "mib_s" if size == "64k" else "packets_s"
            v = [t.get(("fio", n + p, b, m)) for b, p in
                 (("none", ""), ("legacy", ""), ("legacy", "-1GiB"), ("dynamic", ""), ("cc", ""))]
            if v[4] is not None:
                rows.append([way, size, "MiB/s" if m == "mib_s" else "packets/s", *v, over_legacy(t, n, m)])
    if rows:
        out.append(markdown(["network", "size", "", "none", "legacy 64 MiB", "legacy 1 GiB", "dynamic", "cc",
                             "cc / legacy"], rows))
    return out


def model(t):
    """What remote completion costs MODEL_CPUS CPUs in one depot. A magazine of M
    slots is pushed and popped once per M mappings: 2 / M acquisitions each; the
    lock is held while its lines come from the CPU that had them last."""
    rows, records = [], []
    parameters = [("cpus", MODEL_CPUS, "cpus"), ("maps_per_second", int(MODEL_RATE), "1/s"), ("depot_lines", DEPOT_LINES, "lines"),
                  *((f"line_ns_{where.replace(' ', '_')}", ns, "ns") for where, ns in LINE_NS.items())]
    for m in (8, 16, 32, 64, 128):
        measured = t.get(("native", f"magazine-{m}", "cc", "depot_locks_per_1000_maps"))
        locks = 2 / m
        row = [m, f"{locks:.4f}", None if measured is None else f"{measured / 1000:.4f}"]
        records.append(("locks_per_map", m, locks, "locks"))
        for where, ns in LINE_NS.items():
            held = DEPOT_LINES * ns
            busy = MODEL_CPUS * MODEL_RATE * locks * held * 1e-9
            row += [f"{locks * held:.1f}", f"{busy:.0%}"]
            key = where.replace(" ", "_")
            records.append((f"depot_ns_per_map_{key}", m, locks * held, "ns"))
            records.append((f"depot_busy_{key}", m, busy, "ratio"))
        rows.append(row)
    text = [f"## Model: {MODEL_CPUS} CPUs, {MODEL_RATE / 1e3:.0f} thousand mappings a second on each, "
            "all of one class and all completed on another CPU\n",
            markdown(["slots in a magazine", "depot locks per mapping", "measured, 2 CPUs",
                      *[c for where in LINE_NS for c in (f"ns per mapping, {where}", "lock is busy")]], rows),
            f"A line comes from another CPU in {LINE_NS['same socket']} ns within a socket, in "
            f"{LINE_NS['other socket']} ns from the other; a depot operation waits for {DEPOT_LINES} of them. "
            "Above 100 % the lock is the limit.\n"]
    return text, [{"name": "model", "backend": "cc", "metric": k, "value": v, "unit": u} for k, v, u in parameters] + \
        [{"name": f"model-{m}", "backend": "cc", "metric": k, "value": round(v, 5), "unit": u} for k, m, v, u in records]


def waste():
    """Slot bytes over requested bytes for the RFC's histogram, with sizes that are
    evenly spread, in steps of 512 bytes, within each of its ranges; and at the
    worst power of two."""
    rows, records = [], []
    for label, key, classes in (("the RFC's five", "rfc", list(RFC_SHARES)),
                                ("default", "default", DEFAULT_CLASSES)):
        def slot(size):
            return min(c for c in classes if c >= size)  # pylint: disable=cell-var-from-loop
        low, share, got, asked = 0, 0.0, 0.0, 0.0
        for limit, upto in RFC_SHARES.items():
            sizes = range(low + 512, limit + 1, 512)
            asked += (upto - share) * sum(sizes) / len(sizes)
            got += (upto - share) * sum(map(slot, sizes)) / len(sizes)
            low, share = limit, upto
        worst = max(slot(s) / s for s in DEFAULT_CLASSES)
        rows.append([label, f"{got / asked:.2f}", f"{worst:.2f}"])
        records.append({"name": f"waste-{key}-classes", "backend": "cc", "metric": "waste",
                        "value": round(got / asked, 3), "unit": "ratio"})
        records.append({"name": f"waste-{key}-classes", "backend": "cc", "metric": "waste_power_of_two",
                        "value": worst, "unit": "ratio"})
    return ["## Waste: slot bytes over requested bytes\n",
            markdown(["size classes", "the RFC's histogram", "worst power of two"], rows)], records


def plots(t):
    try:
        import matplotlib
    except ImportError:
        print("no plots: run 'scripts/deps.sh python3-matplotlib'", file=sys.stderr)
        return
    matplotlib.use("svg")
    from matplotlib import pyplot as plt, ticker
    plt.rcParams.update({"font.size": 10, "axes.grid": True, "grid.alpha": 0.3, "svg.hashsalt": "cc",
                         "axes.spines.top": False, "axes.spines.right": False, "axes.axisbelow": True})
    os.makedirs(f"{OUT}/plots", exist_ok=True)

    def save(fig, name):
        fig.tight_layout()
        fig.savefig(f"{OUT}/plots/{name}.svg", metadata={"Date": None})
        fig.savefig(f"{OUT}/plots/{name}.png", dpi=130)
        plt.close(fig)

    def ns(b, p, fill, s):
        return t.get(("native", f"fill{fill}-{s}{p}", b, "ns"))

    if any(k[0] == "native" for k in t):
        fig, axes = plt.subplots(1, 2, figsize=(11, 4.5), sharey=True)
        for ax, fill in zip(axes, (0, 90)):
            for b, p, label in POOLS:
                pts = [(s, ns(b, p, fill, s)) for s in SIZES if (ns(b, p, fill, s) or 0) > 0]
                if pts:
                    ax.plot(*zip(*pts), marker="o", label=label, color=COLOR[b + p])
                bad = [(s, t[("native", f"fill{fill}-{s}{p}", b, "failed_ns")]) for s in SIZES
                       if ("native", f"fill{fill}-{s}{p}", b, "failed") in t]
                if bad:
                    ax.scatter(*zip(*bad), marker="x", s=60, color=COLOR[b + p],
                               label=f"{label}: the map fails")
            ax.set(xscale="log", yscale="log", title=f"pool {fill} % full, scattered" if fill else "pool empty",
                   xlabel="size of the mapping")
            ax.set_xticks(SIZES, [human(s) for s in SIZES], fontsize=8)
            ax.minorticks_off()
        axes[0].set_ylabel("map + unmap without the copy, ns")
        axes[1].legend(fontsize=8, loc="upper left", bbox_to_anchor=(1, 1))
        fig.suptitle("What swiotlb costs beside the copy (lower is better)")
        save(fig, "native-size")

        fig, ax = plt.subplots(figsize=(7.5, 4.2))
        for b, p, label in POOLS:
            pts = [(f, ns(b, p, f, 4096)) for f in FILLS if ns(b, p, f, 4096)]
            if pts:
                ax.plot(*zip(*pts), marker="o", label=label, color=COLOR[b + p])
        ax.set(yscale="log", xlabel="share of the pool that is in use, %", ylabel="ns without the copy",
               title="A 4 KiB map + unmap, by how full the pool is")
        ax.legend(fontsize=8)
        save(fig, "native-fill")

    if any(k[0] == "icount" for k in t):
        sizes = [s for s in SIZES if ("icount", f"cc-{human(s)}", "cc", "overhead_instructions") in t]
        fig, ax = plt.subplots(figsize=(7.5, 4.2))
        for i, (n, b, label, color) in enumerate((("legacy", "legacy", "legacy", COLOR["legacy"]),
                                                  ("cc", "cc", "cc", COLOR["cc"]))):
            names = [f"{n}-{human(s)}" for s in sizes]
            v = [t.get(("icount", name, b, "overhead_instructions"), 0) for name in names]
            bars = ax.bar([x + (i - 0.5) * 0.4 for x in range(len(sizes))], v, 0.38, label=label, color=color)
            ax.bar_label(bars, ["fails" if ("icount", name, b, "failed") in t else f"{x:.0f}" if x else ""
                                for name, x in zip(names, v)], fontsize=8)
        ax.set_xticks(range(len(sizes)), [human(s) for s in sizes])
        ax.set(xlabel="size of the mapping", ylabel="instructions",
               title="Instructions of map + unmap, without the copy and the unbounced path")
        ax.legend()
        save(fig, "icount")

    if any(k[0] == "fio" for k in t):
        fig, axes = plt.subplots(2, 2, figsize=(11, 8.5), sharex=True, sharey=True)
        for row, what in enumerate(("bytes per second, cc / legacy", "instructions per I/O, legacy / cc")):
            for ax, disks in zip(axes[row], (1, 21)):
                for depth, style in ((1, "--"), (256, "-")):
                    for rw, color in (("randread", "#00798c"), ("randwrite", "#d1495b"), ("randrw", "#edae49")):
                        v = [fio_gain(t, f"{disks}disks-{rw}-{bs}-{depth}")[row] for bs in FIO_SIZES]
                        pts = [(i, x) for i, x in enumerate(v) if x]
                        if pts:
                            ax.plot(*zip(*pts), style, marker="o", color=color, label=f"{rw}, depth {depth}")
                ax.axhline(1, color="black", lw=0.8)
                ax.set_xticks(range(len(FIO_SIZES)), FIO_SIZES)
                ax.set(title=f"{disks} disk{'s' if disks > 1 else ''}", yscale="log")
                ax.yaxis.set_major_locator(ticker.LogLocator(subs=(0.5, 0.7, 1, 1.2, 1.5, 2, 3)))
                ax.yaxis.set_major_formatter(ticker.StrMethodFormatter("{x:g}"))
                ax.yaxis.set_minor_locator(ticker.NullLocator())
                axes[1][int(disks > 1)].set_xlabel("block size")
            axes[row][0].set_ylabel(what)
        labelled = [ax for ax in axes.flat if ax.get_legend_handles_labels()[1]]
        if labelled:
            labelled[-1].legend(fontsize=8)
        fig.suptitle("fio on NVMe disks, all I/O bounced (above 1: cc is better than legacy with 64 MiB)")
        save(fig, "fio")


def main():
    docs, t = load()
    if not docs:
        sys.exit("error: nothing to report: run 'make bench' first")
    text, records = [], []
    if "native" in docs:
        text += native(t)
    if "icount" in docs:
        text += icount(t, docs["icount"])
    if "fio" in docs:
        text += fio(t)
    model_text, model_records = model(t)
    waste_text, waste_records = waste()
    text += model_text + waste_text
    for part, doc in docs.items():
        records += [{**r, "name": f"{part}-{r['name']}"} for r in doc["results"]]
    def all_of(key):
        return ", ".join(dict.fromkeys(str(d.get(key)) for d in docs.values()))

    with open(f"{OUT}/bench.json", "w", encoding="utf-8") as f:
        json.dump({"verb": "bench", **{k: all_of(k) for k in ("kver", "kernel", "date", "commit", "machine")},
                   "results": records + model_records + waste_records, "pass": all(d["pass"] for d in docs.values())}, f, indent=1)
        f.write("\n")
    with open(f"{OUT}/bench.md", "w", encoding="utf-8") as f:
        f.write("\n".join(text))
    plots(t)


main()
