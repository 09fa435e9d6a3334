"""The plot of `docs/performance.md`, drawn from the result files. Equal results give equal bytes."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PLOT = Path(__file__).parent.parent / "docs" / "performance.svg"
_INK, _BAR, _SECOND = "#24292f", "#2f6f9f", "#c8662b"
_STYLE: dict[Any, Any] = {
    "svg.hashsalt": "wordcount",
    # Text is kept as text, so that the picture does not depend on the fonts of the machine.
    "svg.fonttype": "none",
    "font.family": "DejaVu Sans",
    "font.size": 8,
    "axes.edgecolor": _INK,
    "axes.labelcolor": _INK,
    "axes.titlesize": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.grid": True,
    "grid.color": "#d8dee4",
    "grid.linewidth": 0.5,
    "legend.frameon": False,
}

Results = Mapping[str, Any]


def plot(latest: Results, growth: Results) -> bytes:
    """Return an SVG with a panel per kind of measurement. A panel without results stays empty."""
    import matplotlib as mpl

    with mpl.rc_context(_STYLE):
        from matplotlib.figure import Figure

        figure = Figure(figsize=(9, 8.4), facecolor="white")
        panels: list[Callable[[Axes, Results, Results], None]] = [
            _rates,
            _latencies,
            _distinct,
            _partitions,
            _lines,
            _waits,
        ]
        for number, draw in enumerate(panels, 1):
            axes = figure.add_subplot(3, 2, number)
            draw(axes, latest, growth)
        figure.tight_layout(pad=1.2)
        output = io.BytesIO()
        figure.savefig(output, format="svg", metadata={"Date": None, "Creator": None})
    # matplotlib writes trailing blanks, which files in the repository must not have.
    lines = output.getvalue().decode().splitlines()
    return "".join(f"{line.rstrip()}\n" for line in lines).encode()


def _rates(axes: Axes, latest: Results, _: Results) -> None:
    cases = list(reversed(latest["cases"]))
    rates = [case["words_per_s"] / 1e6 for case in cases]
    spread = [
        [rate - min(case["runs_words_per_s"]) / 1e6 for rate, case in zip(rates, cases, strict=True)],
        [max(case["runs_words_per_s"]) / 1e6 - rate for rate, case in zip(rates, cases, strict=True)],
    ]
    axes.barh(
        [case["name"] for case in cases], rates, xerr=spread, color=_BAR, ecolor=_INK, error_kw={"lw": 0.8}
    )
    axes.set(title="Throughput of a backlog: median, minimum, maximum", xlabel="M words/s")
    axes.grid(False, axis="y")


def _latencies(axes: Axes, latest: Results, _: Results) -> None:
    results = latest.get("latency", ())
    loads = [f"{result['share_of_capacity']:.0%}" for result in results]
    for name, label, mark in (("p50_ms", "p50", "o"), ("p99_ms", "p99", "s"), ("p999_ms", "p99.9", "^")):
        axes.plot(loads, [result[name] for result in results], marker=mark, label=label)
    axes.set(title="Latency from message to visible count", xlabel="share of capacity", ylabel="ms")
    axes.set_ylim(bottom=0)
    if results:
        axes.legend()


def _distinct(axes: Axes, _: Results, growth: Results) -> None:
    _growing(axes, growth, "distinct", "Distinct words among 10 M")


def _partitions(axes: Axes, _: Results, growth: Results) -> None:
    _growing(axes, growth, "partitions", "Partitions")


def _lines(axes: Axes, _: Results, growth: Results) -> None:
    _growing(axes, growth, "line", "Words per message")


def _waits(axes: Axes, latest: Results, _: Results) -> None:
    results = latest.get("http", ())
    names = [result["name"].removeprefix("http-").replace("-", " ") for result in results]
    places = range(len(results))
    for shift, name, color in ((-0.2, "p50_ms", _BAR), (0.2, "p99_ms", _SECOND)):
        axes.bar(
            [place + shift for place in places],
            [result[name] for result in results],
            0.4,
            color=color,
            label=name.removesuffix("_ms"),
        )
    axes.set_xticks(list(places), names)
    axes.set(title="Latency of GET /v1/words/{word}", ylabel="ms")
    axes.grid(False, axis="x")
    if results:
        axes.legend()


def _growing(axes: Axes, growth: Results, part: str, title: str) -> None:
    points = growth.get("parts", {}).get(part, {}).get("points", ())
    values = [point["value"] for point in points]
    axes.plot(values, [point["words_per_s"] / 1e6 for point in points], marker="o", color=_BAR)
    axes.set(title=title, ylabel="M words/s", xscale="log")
    axes.set_xticks(values, [f"{value:,}" for value in values])
    axes.minorticks_off()
    axes.set_ylim(bottom=0)
