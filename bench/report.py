"""How every benchmark prints: a table to read, or with --json one line a figure."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from rich.console import Console
from rich.table import Table


@dataclass(frozen=True)
class Figure:
    """One measured number. `against` names what it is compared with, `ratio` is value divided by that one's value."""

    bench: str
    figure: str
    value: float
    unit: str
    against: str | None = None
    ratio: float | None = None


def compare(bench: str, figure: str, value: float, unit: str, against: str, other: float) -> Figure:
    """A figure beside another one's value in the same unit."""
    return Figure(bench, figure, value, unit, against, value / other if other else None)


def print_figures(figures: Sequence[Figure], as_json: bool = False) -> None:
    """Print to standard output: a table, or one JSON object a line with the fields of `Figure`."""
    if as_json:
        for figure in figures:
            print(json.dumps(asdict(figure)), flush=True)
        return
    table = Table(title=", ".join(dict.fromkeys(figure.bench for figure in figures)))
    for heading in ("figure", "value", "unit", "against", "ratio"):
        table.add_column(heading, justify="right" if heading in ("value", "ratio") else "left", overflow="fold")
    for figure in figures:
        ratio = "" if figure.ratio is None else f"{figure.ratio:.3g}"
        table.add_row(figure.figure, _readable(figure.value), figure.unit, figure.against or "", ratio)
    Console().print(table)


def _readable(value: float) -> str:
    """Four significant digits, no exponents."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"
