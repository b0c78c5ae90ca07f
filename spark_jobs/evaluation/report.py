"""An evaluation as people read it: a table on the terminal and a plot."""

import warnings
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from retrieval.search.metrics import FIGURES
from schemas.errors import BadData

TITLES = {"image_to_image": "image → image", "text_to_image": "text → image"}
_HEADINGS = {"p_at_1": "P@1", "p_at_5": "P@5", "p_at_10": "P@10", "mrr": "MRR", "map_at_10": "mAP@10", "ndcg_at_10": "nDCG@10"}  # fmt: skip
_PLOTTED = ("p_at_1", "p_at_5", "p_at_10")


def print_report(report: dict[str, Any], console: Console) -> None:
    """One table a direction: every category, all queries, and the means over categories."""
    rejected = ", ".join(f"{count} {reason}" for reason, count in sorted(report["rejected"].items())) or "none"
    where = escape(f"{report['catalog']}: {report['protocol']}")
    console.print(f"[bold]{escape(report['model_id'])}[/bold] on {where}")
    console.print(
        f"{report['gallery_photos']} photos in the gallery, {report['query_photos']} queries; rejected: {rejected}"
    )
    for direction, title in TITLES.items():
        if direction in report:
            console.print(_table(title, report[direction]))


def draw_report(report: dict[str, Any], path: Path) -> None:
    """Bars of P@1, P@5 and P@10 for each category, written as `path`'s suffix says. Raises BadData."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    # Names of categories in another script: an SVG leaves them to its reader's fonts, elsewhere they may be boxes.
    with matplotlib.rc_context({"svg.fonttype": "none"}), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from font", UserWarning)
        drawn = [direction for direction in TITLES if direction in report]
        tallest = max(len(report[direction]["by_category"]) for direction in drawn)
        figure, panels = pyplot.subplots(1, len(drawn), figsize=(6.5 * len(drawn), 1.6 + 0.42 * tallest), squeeze=False)
        for panel, direction in zip(panels[0], drawn, strict=True):
            _draw_direction(panel, TITLES[direction], report[direction])
        figure.suptitle(f"{report['model_id']}: {report['protocol']}", fontsize=9)
        figure.tight_layout()
        try:
            figure.savefig(path, dpi=120)
        except (OSError, ValueError) as error:
            raise BadData(f"the plot cannot be written to {path}: {error}") from None
        finally:
            pyplot.close(figure)


def _table(title: str, direction: dict[str, Any]) -> Table:
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("category", no_wrap=True)
    table.add_column("queries", justify="right")
    for name in FIGURES:
        table.add_column(_HEADINGS[name], justify="right")
    for category, figures in direction["by_category"].items():
        table.add_row(escape(category), *_cells(figures))
    table.add_section()
    table.add_row("all", *_cells(direction["all"]), style="bold")
    table.add_row("mean over categories", *_cells(direction["mean_over_categories"]), style="bold")
    if direction["categories_with_fewer_than_10_photos"]:
        table.add_row("… with ≥ 10 photos", *_cells(direction["mean_over_categories_with_10_photos"]), style="bold")
    return table


def _cells(figures: dict[str, Any]) -> list[str]:
    shown = [f"{100 * figures[name]:.1f}" if figures["queries"] else "–" for name in FIGURES]
    return [str(figures["queries"]), *shown]


def _draw_direction(panel: Any, title: str, direction: dict[str, Any]) -> None:
    categories = [name for name, figures in direction["by_category"].items() if figures["queries"]]
    places = range(len(categories))
    for order, name in enumerate(_PLOTTED):
        values = [100 * direction["by_category"][category][name] for category in categories]
        panel.barh([place + 0.27 * (order - 1) for place in places], values, height=0.25, label=_HEADINGS[name])
    panel.set_yticks(list(places), categories, parse_math=False)  # dollars are prices here
    panel.invert_yaxis()
    panel.set_xlim(0, 100)
    panel.set_xlabel("%")
    panel.set_title(f"{title}, P@5 {100 * direction['all']['p_at_5']:.1f} %", fontsize=10)
    panel.legend(fontsize=8)
