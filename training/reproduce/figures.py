"""Figures of the report as SVG text: lines with bands, and matrices.

They are drawn with matplotlib. Colours of text, frame and grid are CSS variables, so that figures in a page
follow its light or dark theme, and text stays text.
"""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape
from io import StringIO
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

__all__ = ["STYLE", "Line", "line_figure", "matrix_figure", "standalone"]

# Okabe & Ito's colours, which colour-blind readers can tell apart.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
# Placeholders that matplotlib draws with, and the CSS variables that replace them.
INK, FAINT, GRID = "#1b1f24", "#9aa4b0", "#e3e7ec"
VARIABLES = {INK: "var(--ink)", FAINT: "var(--faint)", GRID: "var(--grid)"}
STYLE = f"""
:root {{ --ink: {INK}; --paper: #ffffff; --faint: {FAINT}; --grid: {GRID}; }}
@media (prefers-color-scheme: dark) {{
  :root {{ --ink: #e6e9ed; --paper: #14171b; --faint: #707a86; --grid: #2b3138; }} }}
svg * {{ stroke-linejoin: round; stroke-linecap: butt; }}
svg text {{ font-family: system-ui, sans-serif; }}
"""
"""CSS of a page with figures, and of a figure in a separate file."""

SIZE_INCHES = (5.8, 3.8)
SETTINGS: dict[Any, Any] = {
    "svg.fonttype": "none",
    "text.parse_math": False,
    "font.family": "sans-serif",
    "font.size": 8.5,
    "axes.titlesize": 9.5,
    "axes.titleweight": "bold",
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.titlecolor": INK,
    "xtick.color": FAINT,
    "ytick.color": FAINT,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "axes.edgecolor": FAINT,
    "grid.color": GRID,
    "legend.labelcolor": INK,
}
# Above this share a cell is so dark that its number is white.
DARK_SHARE = 0.55


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a figure.

    Attributes
    ----------
    label
        In the legend.
    points
        (x, y) pairs, x ascending.
    band
        (x, low, high) triples; empty: no band.
    dashed, marks
        Whether the line is dashed, and whether its points are marked.
    colour
        Index into `COLOURS`.
    """

    label: str
    points: Sequence[tuple[float, float]]
    band: Sequence[tuple[float, float, float]] = field(default_factory=tuple)
    dashed: bool = False
    marks: bool = True
    colour: int = 0


def line_figure(
    title: str,
    lines: Sequence[Line],
    *,
    x_label: str,
    y_label: str,
    x_ticks: Sequence[tuple[float, str]],
    y_range: tuple[float, float] | None = None,
    diagonal: bool = False,
) -> str:
    """Return a figure of lines with their bands as an ``svg`` element.

    Parameters
    ----------
    title
        Above the figure, and its accessible name.
    lines
        What is drawn.
    x_label, y_label
        Of the axes.
    x_ticks
        Position and text; the axis reaches from the first to the last. The positions of a logarithmic axis
        are logarithms.
    y_range
        Limits of the axis; None: those of the values.
    diagonal
        Draw the line from corner to corner as well.
    """
    with matplotlib.rc_context(SETTINGS):
        figure, axes = _new_figure(title)
        axes.set_xlabel(x_label)
        axes.set_ylabel(y_label)
        axes.grid(axis="y")
        if diagonal:
            ends = (x_ticks[0][0], x_ticks[-1][0])
            axes.plot(ends, ends, color=FAINT, linestyle="--", linewidth=1.0)
        for line in lines:
            _draw(axes, line)
        axes.set_xticks([position for position, _ in x_ticks], [text for _, text in x_ticks])
        margin = 0.02 * (x_ticks[-1][0] - x_ticks[0][0])
        axes.set_xlim(x_ticks[0][0] - margin, x_ticks[-1][0] + margin)
        if y_range is not None:
            axes.set_ylim(*y_range)
        axes.legend(loc="lower right", frameon=False)
        return _svg(figure, title)


def matrix_figure(title: str, names: Sequence[str], rows: Sequence[Sequence[float]]) -> str:
    """Return a confusion matrix as an ``svg`` element.

    Parameters
    ----------
    title
        Above the figure, and its accessible name.
    names
        Classes; true ones from top to bottom.
    rows
        Shares of the most probable classes; each row sums to 1.
    """
    with matplotlib.rc_context(SETTINGS):
        figure, axes = _new_figure(title)
        axes.set_xlabel("most probable class, %")
        axes.set_xticks(range(len(names)), names)
        axes.set_yticks(range(len(names)), names)
        axes.set_xlim(-0.5, len(names) - 0.5)
        axes.set_ylim(len(names) - 0.5, -0.5)
        axes.tick_params(length=0)
        for i, row in enumerate(rows):
            for j, share in enumerate(row):
                cell = matplotlib.patches.Rectangle((j - 0.48, i - 0.48), 0.96, 0.96)
                cell.set(facecolor=COLOURS[0], alpha=share)
                axes.add_patch(cell)
                colour = "white" if share > DARK_SHARE else INK
                axes.text(j, i, f"{100 * share:.0f}", ha="center", va="center", color=colour)
        return _svg(figure, title)


def standalone(figure: str) -> str:
    """Return the content of an SVG file with a figure, its style and its background.

    Parameters
    ----------
    figure
        What `line_figure` or `matrix_figure` returned.
    """
    head, rest = figure.split(">", 1)
    background = '<rect width="100%" height="100%" fill="var(--paper)"/>'
    return f"{head}><style>{STYLE}</style>{background}{rest}\n"


def _new_figure(title: str) -> tuple[Figure, Axes]:
    figure = Figure(figsize=SIZE_INCHES, layout="constrained")
    axes = figure.add_subplot()
    axes.set_title(title, loc="left")
    axes.patch.set_visible(False)
    figure.patch.set_visible(False)
    return figure, axes


def _draw(axes: Axes, line: Line) -> None:
    colour = COLOURS[line.colour % len(COLOURS)]
    if line.band:
        x, low, high = zip(*line.band, strict=True)
        axes.fill_between(x, low, high, color=colour, alpha=0.18, linewidth=0.0)
    x, y = zip(*line.points, strict=True) if line.points else ((), ())
    axes.plot(
        x,
        y,
        color=colour,
        linestyle="--" if line.dashed else "-",
        marker="o" if line.marks else None,
        markersize=4.0,
        label=line.label,
    )


def _svg(figure: Figure, title: str) -> str:
    """Return a figure as an ``svg`` element without a fixed size, whose ids are unique within a page."""
    stream = StringIO()
    with matplotlib.rc_context({"svg.hashsalt": title}):
        figure.savefig(stream, format="svg", metadata=dict.fromkeys(("Date", "Creator", "Format", "Type")))
    text = stream.getvalue()
    text = text[text.index("<svg") :]
    # `STYLE` has the rules of matplotlib's own style element, which would apply to the whole page.
    text = re.sub(r"<metadata>.*?</metadata>|<!--.*?-->|<style.*?</style>", "", text, flags=re.DOTALL)
    text = re.sub(r"font-family: [^;]*; ?", "", text)
    prefix = f"f{hashlib.sha256(text.encode()).hexdigest()[:8]}-"
    text = re.sub(r'\bid="|url\(#|href="#', lambda match: match[0] + prefix, text)
    for placeholder, variable in VARIABLES.items():
        text = text.replace(placeholder, variable)
    accessible = f'<svg role="img" aria-label="{escape(title)}"'
    head, rest = text.split(">", 1)
    head = re.sub(r' (?:width|height)="[^"]*"', "", head).replace("<svg", accessible, 1)
    return f"{head}>{rest.strip()}"
