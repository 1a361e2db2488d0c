"""The report: sections of tables and charts, as Markdown and JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.measure import Samples, times_faster


@dataclass(frozen=True)
class Table:
    """A table; its first column is text, the others are figures."""

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
    """A chart of bars in groups: for each series one bar above each label.

    unit: of the values, which may be None where a series has none. logarithmic: the axis.
    """

    name: str
    title: str
    unit: str
    labels: Sequence[str]
    series: Mapping[str, Sequence[float | None]]
    logarithmic: bool = False


@dataclass(frozen=True)
class Section:
    """What one section measured.

    notes: sentences that a reader of the tables must know. data: what is in the JSON alone, such
    as every single sample.
    """

    name: str
    title: str
    notes: Sequence[str] = ()
    tables: Sequence[Table] = ()
    charts: Sequence[Chart] = ()
    data: Mapping[str, Any] = field(default_factory=dict)

    def to_markdown(self, chart_files: Mapping[str, str]) -> str:
        """chart_files: names of the charts that were drawn, and where, relative to the report."""
        parts = [f"## {self.title}"]
        for table in self.tables:
            parts += [f"**{table.title}**", table.to_markdown()]
        parts += [f"- {note}" for note in self.notes]
        parts += [
            f"![{chart.title}]({chart_files[chart.name]})"
            for chart in self.charts
            if chart.name in chart_files
        ]
        return "\n\n".join(parts).replace("\n\n- ", "\n- ").replace("|\n- ", "|\n\n- ")

    def to_json(self) -> dict[str, Any]:
        """The section's tables as they are shown, and its data."""
        return {
            "title": self.title,
            "notes": list(self.notes),
            "tables": [
                {"title": t.title, "columns": list(t.columns), "rows": [list(r) for r in t.rows]}
                for t in self.tables
            ],
            "data": self.data,
        }


@dataclass(frozen=True)
class Report:
    """A run of the bench: when (ISO 8601, UTC), on what, and what came out."""

    date: str
    machine: Mapping[str, Any]
    quick: bool
    sections: Sequence[Section]

    def write(self, folder: Path, name: str, chart_files: Mapping[str, str]) -> tuple[Path, Path]:
        """Writes `name`.md and `name`.json below `folder`; returns both paths."""
        folder.mkdir(parents=True, exist_ok=True)
        markdown, data = folder / f"{name}.md", folder / f"{name}.json"
        markdown.write_text(self.to_markdown(chart_files), "utf-8")
        data.write_text(json.dumps(self.to_json(), ensure_ascii=False, indent=1) + "\n", "utf-8")
        return markdown, data

    def to_markdown(self, chart_files: Mapping[str, str]) -> str:
        """The whole report."""
        machine = Table("", ("machine", ""), [(k, _words(v)) for k, v in self.machine.items()])
        head = [f"# Benchmark of {self.date[:10]}"]
        if self.quick:
            head.append("A quick run: too few samples to quote, it only shows that all works.")
        body = [section.to_markdown(chart_files) for section in self.sections]
        return "\n\n".join([*head, machine.to_markdown().replace("--:", "---"), *body]) + "\n"

    def to_json(self) -> dict[str, Any]:
        """The whole report."""
        return {
            "date": self.date,
            "machine": dict(self.machine),
            "quick": self.quick,
            "sections": {section.name: section.to_json() for section in self.sections},
        }


def milliseconds(seconds: float) -> str:
    """Three digits that mean something: 0.94, 8.51, 23.9, 1,240 (ms)."""
    value = seconds * 1000
    digits = 2 if value < 10 else 1 if value < 100 else 0
    return f"{value:,.{digits}f}"


def from_start_table(title: str, found: Mapping[str, Samples], reference: str) -> Table:
    """Samples of fresh processes, by contender, beside those of the `reference` among them."""
    return Table(
        title,
        ["", "ms", "times faster", "peak memory, MB"],
        [
            [
                name,
                milliseconds(samples.median),
                ratio(times_faster(samples, found[reference])),
                megabytes(samples.peak_bytes),
            ]
            for name, samples in found.items()
        ],
    )


def megabytes(size: int) -> str:
    """Whole megabytes, of a million bytes."""
    return f"{size / 1e6:,.0f}"


def ratio(value: float) -> str:
    """Such as 2.31 or 0.97."""
    return f"{value:.2f}"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def _words(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {each}" for key, each in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value))
    return str(value)
