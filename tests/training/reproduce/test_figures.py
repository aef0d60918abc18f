"""Figures of the report, as SVG."""

from xml.etree import ElementTree

from training.reproduce.figures import Line, line_figure, matrix_figure

SVG = "{http://www.w3.org/2000/svg}"


def test_figures_escape_their_texts_and_stay_inside() -> None:
    line = Line("a < b", [(0.0, 0.1), (1.0, 0.9)], band=[(0.0, 0.0, 0.2), (1.0, 0.8, 1.0)])
    drawn = line_figure("x & y", [line], x_label="n", y_label="s", x_ticks=[(0.0, "0"), (1.0, "1")])
    root = ElementTree.fromstring(drawn)  # noqa: S314  our own text
    assert root.attrib["aria-label"] == "x & y"
    assert root.attrib["role"] == "img"
    assert "width" not in root.attrib
    _, _, width, height = map(float, root.attrib["viewBox"].split())
    filled = [use.attrib for use in root.iter(f"{SVG}use") if "#0072b2" in use.attrib["style"]]
    marks = [(float(mark["x"]), float(mark["y"])) for mark in filled if "opacity" not in mark["style"]]
    assert len(marks) == 3  # two points and the legend's
    assert all(0 < x < width and 0 < y < height for x, y in marks)
    assert {"x & y", "a < b", "n", "s"} <= {text.text for text in root.iter(f"{SVG}text")}
    matrix = ElementTree.fromstring(matrix_figure("m", ("a", "b"), [[1.0, 0.0], [0.25, 0.75]]))  # noqa: S314
    numbers = [text.text for text in matrix.iter(f"{SVG}text") if text.text in ("100", "0", "25", "75")]
    assert numbers == ["100", "0", "25", "75"]


def test_figures_follow_the_theme_of_their_page_and_share_no_id() -> None:
    figures = [matrix_figure(title, ("a", "b"), [[1.0, 0.0], [0.25, 0.75]]) for title in ("m", "n")]
    assert figures[0] == matrix_figure("m", ("a", "b"), [[1.0, 0.0], [0.25, 0.75]])
    ids = [
        {element.attrib["id"] for element in ElementTree.fromstring(figure).iter() if "id" in element.attrib}  # noqa: S314
        for figure in figures
    ]
    assert ids[0]
    assert not ids[0] & ids[1]
    for figure in figures:
        assert "var(--ink)" in figure
        assert "#1b1f24" not in figure
