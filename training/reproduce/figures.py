"""Figures as SVG text: lines with bands, and matrices. No library, no scripts, readable in the dark."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from html import escape

__all__ = ["STYLE", "Line", "line_figure", "matrix_figure", "standalone"]

# Okabe & Ito's colours, which colour-blind readers can tell apart.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
# Of a page with figures, and of a figure in a file of its own.
STYLE = """
:root { --ink: #1b1f24; --paper: #ffffff; --faint: #9aa4b0; --grid: #e3e7ec; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6e9ed; --paper: #14171b; --faint: #707a86; --grid: #2b3138; } }
svg text { font: 11.5px system-ui, sans-serif; fill: var(--ink); }
svg text.title { font-size: 13px; font-weight: 600; } svg text.on-dark { fill: #ffffff; }
svg .frame { fill: none; stroke: var(--faint); } svg .grid { stroke: var(--grid); }
"""
WIDTH, HEIGHT = 520, 340
LEFT, RIGHT, TOP, BOTTOM = 58, 14, 30, 46

Points = Sequence[tuple[float, float]]
Scale = Callable[[float], float]


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a figure; `band` has (x, low, high)."""

    label: str
    points: Points
    band: Sequence[tuple[float, float, float]] = field(default_factory=tuple)
    dashed: bool = False
    marks: bool = True
    colour: int = 0


def line_figure(
    title: str, lines: Sequence[Line], *, x_label: str, y_label: str, x_ticks: Sequence[tuple[float, str]],
    y_range: tuple[float, float] | None = None, diagonal: bool = False,
) -> str:  # fmt: skip
    """Draw lines with their bands.

    Parameters
    ----------
    x_ticks
        Place and text; the axis reaches from the first to the last. A logarithmic axis is one whose
        places are logarithms.
    y_range
        None: what the values need.
    """
    low, high = y_range or _range_of(lines)
    x_of = _scale(x_ticks[0][0], x_ticks[-1][0], LEFT, WIDTH - RIGHT)
    y_of = _scale(low, high, HEIGHT - BOTTOM, TOP)
    parts = [_frame(title, x_label, y_label)]
    parts += [_x_tick(x_of(place), text) for place, text in x_ticks]
    parts += [_y_tick(y_of(place), f"{place:g}") for place in _ticks(low, high)]
    if diagonal:
        start, end = x_ticks[0][0], x_ticks[-1][0]
        parts.append(_path([(start, start), (end, end)], x_of, y_of, "var(--faint)", dashed=True))
    for line in lines:
        parts.append(_drawn(line, x_of, y_of))
    parts += [_legend(index, line) for index, line in enumerate(reversed(lines))]
    return _svg(title, parts)


def matrix_figure(title: str, names: Sequence[str], rows: Sequence[Sequence[float]]) -> str:
    """Draw a matrix of shares (rows add up to 1), true classes downwards."""
    size = (HEIGHT - TOP - BOTTOM) / len(names)
    width = (WIDTH - LEFT - RIGHT - 20) / len(names)
    parts = [f'<text class="title" x="{LEFT}" y="16">{escape(title)}</text>']
    for i, (name, row) in enumerate(zip(names, rows, strict=True)):
        y = TOP + i * size
        parts.append(
            f'<text x="{LEFT + 12}" y="{y + size / 2 + 4:.1f}" text-anchor="end">{escape(name)}</text>'
        )
        x_name = LEFT + 20 + (i + 0.5) * width
        parts.append(
            f'<text x="{x_name:.1f}" y="{HEIGHT - BOTTOM + 16}" text-anchor="middle">{escape(name)}</text>'
        )
        for j, share in enumerate(row):
            x = LEFT + 20 + j * width
            box = f'x="{x:.1f}" y="{y:.1f}" width="{width - 1:.1f}" height="{size - 1:.1f}"'
            parts.append(f'<rect {box} fill="{COLOURS[0]}" fill-opacity="{share:.3f}"/>')
            text = f'x="{x + width / 2:.1f}" y="{y + size / 2 + 4:.1f}" text-anchor="middle"'
            light = ' class="on-dark"' if share > 0.55 else ""
            parts.append(f"<text {text}{light}>{100 * share:.0f}</text>")
    parts.append(f'<text x="{WIDTH / 2}" y="{HEIGHT - 8}" text-anchor="middle">most probable class, %</text>')
    return _svg(title, parts)


def standalone(figure: str) -> str:
    """Make a file of a figure: with its style, on paper of its own colour."""
    head, rest = figure.split(">", 1)
    paper = f'<rect width="{WIDTH}" height="{HEIGHT}" fill="var(--paper)"/>'
    return f'{head} xmlns="http://www.w3.org/2000/svg"><style>{STYLE}</style>{paper}{rest}\n'


def _svg(title: str, parts: Sequence[str]) -> str:
    head = f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(title)}">'
    return head + "".join(parts) + "</svg>"


def _scale(low: float, high: float, start: float, end: float) -> Scale:
    span = (high - low) or 1.0
    return lambda value: start + (value - low) / span * (end - start)


def _range_of(lines: Sequence[Line]) -> tuple[float, float]:
    values = [y for line in lines for _, y in line.points]
    values += [y for line in lines for _, *both in line.band for y in both]
    low, high = min(values), max(values)
    room = 0.05 * ((high - low) or 0.1)
    return low - room, high + room


def _ticks(low: float, high: float) -> list[float]:
    """Give round places between two values, about five."""
    for step in (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0):
        if (high - low) / step <= 7:
            break
    first = -(-low // step)
    return [round((first + k) * step, 4) for k in range(8) if (first + k) * step <= high + 1e-9]


def _frame(title: str, x_label: str, y_label: str) -> str:
    middle, width, height = (TOP + HEIGHT - BOTTOM) / 2, WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM
    return (
        f'<text class="title" x="{LEFT}" y="16">{escape(title)}</text>'
        f'<text x="{(LEFT + WIDTH) / 2}" y="{HEIGHT - 8}" text-anchor="middle">{escape(x_label)}</text>'
        f'<text transform="translate(14 {middle}) rotate(-90)" text-anchor="middle">{escape(y_label)}</text>'
        f'<rect class="frame" x="{LEFT}" y="{TOP}" width="{width}" height="{height}"/>'
    )


def _x_tick(x: float, text: str) -> str:
    return f'<text x="{x:.1f}" y="{HEIGHT - BOTTOM + 16}" text-anchor="middle">{escape(text)}</text>'


def _y_tick(y: float, text: str) -> str:
    line = f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
    return f'{line}<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{text}</text>'


def _path(points: Points, x_of: Scale, y_of: Scale, colour: str, *, dashed: bool = False) -> str:
    path = " ".join(f"{'L' if k else 'M'}{x_of(x):.1f},{y_of(y):.1f}" for k, (x, y) in enumerate(points))
    dash = ' stroke-dasharray="5 4"' if dashed else ""
    return f'<path d="{path}" fill="none" stroke="{colour}" stroke-width="2"{dash}/>'


def _drawn(line: Line, x_of: Scale, y_of: Scale) -> str:
    colour = COLOURS[line.colour % len(COLOURS)]
    band = ""
    if line.band:
        edge = [(x, high) for x, _, high in line.band] + [(x, low) for x, low, _ in reversed(line.band)]
        place = " ".join(f"{x_of(x):.1f},{y_of(y):.1f}" for x, y in edge)
        band = f'<polygon points="{place}" fill="{colour}" fill-opacity="0.18"/>'
    dots = [f'<circle cx="{x_of(x):.1f}" cy="{y_of(y):.1f}" r="3" fill="{colour}"/>' for x, y in line.points]
    return (
        band
        + _path(line.points, x_of, y_of, colour, dashed=line.dashed)
        + "".join(dots if line.marks else ())
    )


def _legend(index: int, line: Line) -> str:
    x, y = WIDTH - RIGHT - 190, HEIGHT - BOTTOM - 12 - 16 * index
    colour = COLOURS[line.colour % len(COLOURS)]
    dash = ' stroke-dasharray="5 4"' if line.dashed else ""
    stroke = (
        f'<line x1="{x}" x2="{x + 22}" y1="{y - 4}" y2="{y - 4}" stroke="{colour}" stroke-width="2"{dash}/>'
    )
    return f'{stroke}<text x="{x + 28}" y="{y}">{escape(line.label)}</text>'
