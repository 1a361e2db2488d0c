"""The report: sections with tables and charts, as Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bench.measure import Samples, times_faster


@dataclass(frozen=True)
class Table:
    """A table; its first column is text, the others hold figures."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]

    def to_markdown(self) -> str:
        """As GitHub renders it."""
        aligned = ["---", *("--:" for _ in self.columns[1:])]
        lines = [self.columns, aligned, *self.rows]
        return "\n".join("| " + " | ".join(map(_cell, line)) + " |" for line in lines)


@dataclass(frozen=True)
class Chart:
    """A bar chart: for each series one bar above each label.

    `unit` is that of the values, `None` a missing value. `logarithmic` applies to the axis.
    """

    name: str
    title: str
    unit: str
    labels: Sequence[str]
    series: Mapping[str, Sequence[float | None]]
    logarithmic: bool = False


@dataclass(frozen=True)
class Section:
    """What one section measured; `notes` are sentences that explain the tables."""

    title: str
    notes: Sequence[str] = ()
    tables: Sequence[Table] = ()
    charts: Sequence[Chart] = ()

    def to_markdown(self, chart_files: Mapping[str, str]) -> str:
        """`chart_files`: by chart name, the path of its picture relative to the report."""
        parts = [f"## {self.title}"]
        for table in self.tables:
            parts += [f"**{table.title}**", table.to_markdown()]
        if self.notes:
            parts.append("\n".join(f"- {note}" for note in self.notes))
        parts += [
            f"![{chart.title}]({chart_files[chart.name]})"
            for chart in self.charts
            if chart.name in chart_files
        ]
        return "\n\n".join(parts)


def to_markdown(
    date: str,
    machine: Mapping[str, Any],
    sections: Sequence[Section],
    chart_files: Mapping[str, str],
    *,
    quick: bool = False,
) -> str:
    """The whole report. `date` is in ISO 8601."""
    described = Table("", ("machine", ""), [(key, _words(machine[key])) for key in machine])
    head = [f"# Benchmark of {date}"]
    if quick:
        head.append("A quick run: too few samples to quote; it only shows that everything works.")
    body = [section.to_markdown(chart_files) for section in sections]
    return "\n\n".join([*head, described.to_markdown().replace("--:", "---"), *body]) + "\n"


def milliseconds(seconds: float) -> str:
    """With three significant digits: 0.94, 8.51, 23.9, 1,240 (ms)."""
    value = seconds * 1000
    digits = 2 if value < 10 else 1 if value < 100 else 0
    return f"{value:,.{digits}f}"


def megabytes(size: int) -> str:
    """Whole megabytes of a million bytes."""
    return f"{size / 1e6:,.0f}"


def ratio(value: float) -> str:
    """Such as 2.31 or 0.97."""
    return f"{value:.2f}"


def from_start_table(title: str, found: Mapping[str, Samples], reference: str) -> Table:
    """Samples of fresh processes by contender, compared with the contender `reference`."""
    rows = [
        [
            name,
            milliseconds(samples.median),
            ratio(times_faster(samples, found[reference])),
            megabytes(samples.peak_bytes),
        ]
        for name, samples in found.items()
    ]
    return Table(title, ["", "ms", "times faster", "peak memory, MB"], rows)


def throughput(
    name: str,
    load: Mapping[str, Mapping[int, Mapping[str, Any]]],
    title: str = "Throughput of one short question to the baked corpus",
) -> tuple[Table, Chart]:
    """A table and the chart `name` of the results of contenders.load by server and clients."""
    labels = {n: f"{n} clients" if n > 1 else "1 client" for one in load.values() for n in one}
    rows = [
        [
            f"{server}, {labels[clients]}",
            f"{one['per_second']:,.0f}",
            ratio(one["per_second"] / max(1e-9, by_clients[1]["per_second"])),
            *("none" if one[p] is None else milliseconds(one[p]) for p in ("p50", "p95")),
            f"{one['refused']:.0%}",
        ]
        for server, by_clients in load.items()
        for clients, one in by_clients.items()
    ]
    columns = ["", "answers per second", "relative to one client", "p50, ms", "p95, ms", "refused"]
    series = {
        server: [by_clients[clients]["per_second"] for clients in labels]
        for server, by_clients in load.items()
    }
    chart = Chart(name, title, "answers per second", list(labels.values()), series)
    return Table(title, columns, rows), chart


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def _words(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {each}" for key, each in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value))
    return str(value)
