"""What stands in expressions of PromQL, and what is wrong with it beside the page of metrics: unknown metrics and labels."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any, NamedTuple

import promql_parser as promql

from app.worker.metrics import Metrics

TARGET = frozenset({"job", "instance", "namespace"})
"""Labels that every series gets when Prometheus reads it; `namespace` is there on Kubernetes."""

OPERANDS = ("lhs", "rhs", "expr", "param", "vector_selector", "args")

Known = Mapping[str, frozenset[str]]
"""Metric -> its labels."""


class Selector(NamedTuple):
    """A selector of series: the metric, and value or pattern by label."""

    metric: str
    matchers: dict[str, str]


def documented(page: str) -> Known:
    """Every series that the page of metrics says a process has, and those of the process itself, with all their labels.

    Args:
        page: text of docs/reference/metrics.md.
    """
    known = {"up": TARGET}
    for name, kind, labels in re.findall(r"^\| `(\w+)` \| (\w+) \| ([^|]*) \|", page, re.MULTILINE):
        own = TARGET | set(re.findall(r"`(\w+)`", labels))
        if kind == "histogram":
            known |= {f"{name}_bucket": own | {"le"}, f"{name}_sum": own, f"{name}_count": own}
        else:
            known[name] = own
    for family in Metrics().registry.collect():
        # The page says that these are there, and lists only the product's own.
        if family.name.startswith("process_"):
            known[f"{family.name}_total" if family.type == "counter" else family.name] = TARGET
    return known


def parts(tree: promql.Expr) -> Iterator[promql.Expr]:
    """An expression and all that it is made of."""
    yield tree
    for name in OPERANDS:
        found = getattr(tree, name, None)
        for part in found if isinstance(found, list) else [found]:
            if isinstance(part, promql.Expr):
                yield from parts(part)


def selectors(expression: str) -> list[Selector]:
    """All selectors of an expression. Raise ValueError if it is no PromQL."""
    found = []
    for part in parts(promql.parse(expression)):
        if isinstance(part, promql.VectorSelector):
            matchers: Any = part.matchers
            found.append(Selector(part.name or "", {one.name: one.value for one in matchers.matchers}))
    return found


def grouped(tree: promql.Expr) -> set[str]:
    """Labels by which one operator aggregates or matches."""
    modifier: Any = getattr(tree, "modifier", None)
    if isinstance(tree, promql.AggregateExpr) and modifier is not None:
        assert modifier.type == promql.AggModifierType.By, "without keeps labels that nobody named"
        return set(modifier.labels)
    matching = getattr(modifier, "matching", None)
    return {
        *(matching.labels if matching is not None else ()),
        *(getattr(modifier, "group_labels", None) or ()),
    }


def problems(expression: str, known: Known) -> list[str]:
    """What is wrong with an expression: no PromQL, a metric that there is not, a label that its metrics do not have."""
    try:
        tree, named = promql.parse(expression), selectors(expression)
    except ValueError as error:
        return [f"no PromQL: {error}"]
    found = [f"unknown metric {one.metric}" for one in named if one.metric not in known]
    for one in named:
        unknown = one.matchers.keys() - known.get(one.metric, one.matchers.keys())
        found += [f"{one.metric} has no label {label}" for label in sorted(unknown)]
    for part in parts(tree):
        # An operator of two sides needs its labels on each of them.
        sides = [part.lhs, part.rhs] if isinstance(part, promql.BinaryExpr) else [part]
        for side in sides:
            below = [x.name for x in parts(side) if isinstance(x, promql.VectorSelector)]
            has: set[str] = set().union(*(known.get(name or "", frozenset()) for name in below))
            missing = grouped(part) - has if below and has else set()
            found += [f"{', '.join(below)}: no label {label}" for label in sorted(missing)]
    return found


def headings_beside(alerts: Collection[str], run_book: str) -> list[str]:
    """What is wrong between alerts and the headings of the run book: an alert without an entry, an entry without an alert."""
    entries = re.findall(r"^### (.+)$", run_book, re.MULTILINE)
    twice = {name for name in entries if entries.count(name) > 1}
    return [
        *(f"{name} has no entry" for name in sorted(set(alerts) - set(entries))),
        *(f"the entry {name} has no alert" for name in sorted(set(entries) - set(alerts))),
        *(f"{name} has two entries" for name in sorted(twice)),
    ]
