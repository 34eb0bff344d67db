"""Figures of compare.py, as SVG and PNG."""

import pathlib

import matplotlib

matplotlib.use("svg")
matplotlib.rcParams["svg.fonttype"] = "none"  # text stays text: small, and sharp anywhere
matplotlib.rcParams["svg.hashsalt"] = "initrt"

import matplotlib.pyplot as plt  # noqa: E402

PEER, OWN, LIMIT = "#8da0b3", "#d1495b", "#222222"


def draw(results: dict, rows: tuple, outdir: pathlib.Path) -> None:
    measured = {row["name"]: row for row in results["rows"] if "cannot_run" not in row}
    steps = [(row.step, row, measured[row.name]) for row in rows
             if row.step and row.name in measured]
    if steps:
        draw_steps(steps, results, outdir)
    everything = [(row.name, row, measured[row.name]) for row in rows if row.name in measured]
    states = states_of(everything)
    figure, axes = plt.subplots(1, len(states), figsize=(10, 0.35 * len(everything) + 1.2),
                                sharey=True, squeeze=False, layout="constrained")
    for axis, state in zip(axes[0], states):
        bars_of_loading(axis, everything, state, results["limits"][state]["seconds"])
    save(figure, outdir / "compare_loading")


def draw_steps(steps: list, results: dict, outdir: pathlib.Path) -> None:
    """From plain construction to shards: what a rank holds at most, and how long it takes."""
    states = states_of(steps)
    figure, axes = plt.subplots(1, 1 + len(states), figsize=(10, 0.4 * len(steps) + 1.2),
                                sharey=True, layout="constrained")
    axes[0].barh(*columns(steps, lambda row: row["pss_bytes"] / 1e9))
    finish(axes[0], steps, "peak memory of a rank, GB", results["bytes"] / 1e9)
    for axis, state in zip(axes[1:], states):
        bars_of_loading(axis, steps, state, results["limits"][state]["seconds"])
    save(figure, outdir / "compare_steps")


def states_of(entries: list) -> list[str]:
    """--quick has no cold runs."""
    return [state for state in ("cold", "warm") if all(row[state] for _, _, row in entries)]


def columns(entries: list, value) -> tuple[list, list]:
    return range(len(entries)), [value(row) for _, _, row in entries]


def bars_of_loading(axis, entries: list, state: str, limit: float) -> None:
    """Medians, with a line from the least to the most."""
    values = [row[state]["load_seconds"] for _, _, row in entries]
    middle = [value["median"] for value in values]
    axis.barh(range(len(entries)), middle,
              xerr=[[value["median"] - value["min"] for value in values],
                    [value["max"] - value["median"] for value in values]],
              error_kw={"lw": 0.8})
    finish(axis, entries, f"load, {'not cached' if state == 'cold' else 'cached'}, s", limit)


def finish(axis, entries: list, label: str, limit: float) -> None:
    for bar, (_, row, _) in zip(axis.patches, entries):
        bar.set_color(PEER if row.script else OWN)
        axis.annotate(f"{bar.get_width():.2f}", (bar.get_width(), bar.get_y() + 0.2), fontsize=7,
                      va="center", xytext=(3, 0), textcoords="offset points")
    axis.axvline(limit, color=LIMIT, lw=0.8, ls="--")
    axis.set_xlabel(label)
    axis.set_yticks(range(len(entries)), [name for name, _, _ in entries])
    if not axis.yaxis_inverted():
        axis.invert_yaxis()
    axis.margins(x=0.15)
    axis.spines[["top", "right"]].set_visible(False)


def save(figure, path: pathlib.Path) -> None:
    for kind in ("svg", "png"):
        figure.savefig(path.with_suffix(f".{kind}"), dpi=150,
                       metadata={"Date": None} if kind == "svg" else None)
    plt.close(figure)
