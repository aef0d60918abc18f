"""One self-contained HTML page of the results."""

from collections.abc import Callable, Mapping, Sequence
from html import escape
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.data.labels import PAPER_CLASSES
from training.eval.metrics import confusion_matrix, reliability
from training.reproduce.figures import STYLE, Line, line_figure, matrix_figure
from training.reproduce.inputs import REAL_CLASSES
from training.reproduce.methods import METHODS, REAL
from training.reproduce.runs import DAYS, DETECTIONS
from training.reproduce.scale import Scale
from training.reproduce.summary import Results

__all__ = ["TITLES", "figures", "page"]

TITLES = {"real-ztf": "Simulated ZTF to real ZTF", "lsst": "ZTF to LSST"}
COUNT_NAMES = {"3": "3 detections", "5": "5 detections", "10": "10 detections", "0": "whole light curves"}
# A curve is drawn from its seeds' mean and the spread of that mean.
BAND_SIGMA = 1.96
# From scratch the scores on real ZTF still rise at so many objects shown (training/LOG.md).
FEWEST_SHOWN = 50_000
FALSE_RATES = np.linspace(0.0, 1.0, 101)

PAGE_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper);
       max-width: 1120px; margin: 2rem auto; padding: 0 1rem; }
.figures { display: grid; grid-template-columns: repeat(auto-fit, minmax(420px, 1fr)); gap: 1rem; }
figure { margin: 0; } svg { width: 100%; height: auto; }
table { border-collapse: collapse; margin: 1rem 0; font-variant-numeric: tabular-nums; }
th, td { padding: .25rem .7rem; border-bottom: 1px solid var(--grid); text-align: left; }
"""


def page(results: Sequence[Results], summaries: Sequence[Mapping[str, Any]], scale: Scale) -> str:
    """Write the page: tables, then figures, for each experiment."""
    body = [_introduction(scale)]
    for one, summary in zip(results, summaries, strict=True):
        body.append(f"<h2>{TITLES[one.experiment]}</h2>{_facts(one, summary)}{_comparisons(summary)}")
        body.append(_scores(summary))
        drawn = "".join(f"<figure>{figure}</figure>" for figure in figures(one).values())
        body.append(f'<div class="figures">{drawn}</div>')
    style = f"<style>{STYLE}{PAGE_STYLE}</style>"
    head = f'<meta charset="utf-8"><meta name="viewport" content="width=device-width">{style}'
    title = "Transfer from simulations to real data and from ZTF to LSST"
    return (
        f'<!doctype html><html lang="en"><head>{head}<title>{title}</title></head><body><h1>{title}</h1>'
        + ("".join(body) + "</body></html>\n")
    )


def figures(results: Results) -> dict[str, str]:
    """Draw an experiment's figures, SVG by name; those that need finished runs are left out without."""
    if not results.seeds():
        return {}
    drawn = {f"learning-{count}": _learning_curves(results, count) for count in ("0", "5", "3")}
    drawn["detections"] = _against(results, "by_detections", DETECTIONS, "detections")
    drawn["days"] = _against(results, "by_days", DAYS, "days since trigger")
    for method in ("ours-transfer", "paper-transfer"):
        if method in results.methods:
            truth, probability = _pooled(results, method, "probability")
            drawn[f"roc-{method}"] = _roc(results, method, truth, probability)
            drawn[f"confusion-{method}"] = _confusion(results, method, truth, probability)
            drawn[f"reliability-{method}"] = _reliability(results, method, truth, probability)
    return drawn


def _introduction(scale: Scale) -> str:
    shown = scale.epochs * scale.objects_per_epoch
    brief = (
        f"<p><strong>Each network saw at most {shown} objects: too few for its scores to count. This run "
        "shows that all of it works.</strong></p>"
        if shown < FEWEST_SHOWN
        else ""
    )
    return (
        "<p>The experiments of <a href='https://arxiv.org/abs/2502.18558'>arXiv 2502.18558</a>, with its "
        "network and freezing and with ours, each also from scratch. Every seed draws its own split, subsets "
        "and initial weights; all methods share them. One validation set, the same whatever the number of "
        "labels, stops all runs by one rule; an epoch has as many gradient steps for few labels as for many. "
        f"Bands and brackets: 95% over seeds. Size of this run: {escape(scale.name)}, at most {scale.epochs} "
        f"epochs of {scale.objects_per_epoch} objects.</p>{brief}"
    )


def _facts(results: Results, summary: Mapping[str, Any]) -> str:
    if not results.seeds():
        return "<p>No seed has finished yet.</p>"
    sizes = ", ".join(map(str, summary["sizes"]))
    classes = ", ".join(_classes(results))
    return f"<p>{summary['seeds']} seeds; labels: {sizes}. Scores are macro AUROC over {classes}.</p>"


def _classes(results: Results) -> tuple[str, ...]:
    return REAL_CLASSES if results.experiment == REAL else PAPER_CLASSES


def _comparisons(summary: Mapping[str, Any]) -> str:
    headings = (
        "transfer", "against", "scored on", "label reduction at equal score",
        "score at 30% of the labels / full", "gain at fewest labels", "at all",
    )  # fmt: skip
    rows = ["<tr>" + "".join(f"<th>{heading}</th>" for heading in headings) + "</tr>"]
    for one in summary["comparisons"]:
        for count, values in one["by_detections"].items():
            gains = list(values["gain"].values())
            cells = (
                METHODS[one["transfer"]].title, METHODS[one["scratch"]].title, COUNT_NAMES[count],
                _bracket(values["label_reduction"], share=True),
                _bracket(values["fraction_at_30_percent"], share=True),
                _bracket(gains[0]), _bracket(gains[-1]),
            )  # fmt: skip
            rows.append("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in cells) + "</tr>")
    return f"<table>{''.join(rows)}</table>"


def _scores(summary: Mapping[str, Any]) -> str:
    """Write the learning curves as a table: whole light curves."""
    of_method = summary["macro_auroc"]["0"]
    sizes = sorted({int(size) for curve in of_method.values() for size in curve})
    rows = ["<tr><th>labels</th>" + "".join(f"<th>{n}</th>" for n in sizes) + "</tr>"]
    for method, curve in of_method.items():
        cells = [_bracket(curve[str(n)]) if str(n) in curve else "" for n in sizes]
        title = escape(METHODS[method].title)
        rows.append(f"<tr><td>{title}</td>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>")
    return f"<table>{''.join(rows)}</table>"


def _bracket(values: Sequence[float | None], *, share: bool = False) -> str:
    """Print an interval; None, which stands for a score that was not reached, is said so."""
    if values[0] is None:
        return "not reached"
    text = ["none" if v is None else f"{100 * v:.1f}%" if share else f"{v:.3f}" for v in values]
    return f"{text[0]} [{text[1]}, {text[2]}]"


def _learning_curves(results: Results, count: str) -> str:
    generator = np.random.default_rng(0)
    # 0 labels have no logarithm; they stand where a third of the smallest number would.
    sizes = results.sizes
    place: Callable[[int], float] = lambda n: float(np.log10(n if n else sizes[0] / 3.0))  # noqa: E731
    lines = []
    for method in results.methods:
        curve = results.curve(method, count)
        band = curve.band(generator)
        points = [(place(n), one.value) for n, one in zip(curve.sizes, band, strict=True)]
        spread = [(place(n), one.low, one.high) for n, one in zip(curve.sizes, band, strict=True)]
        lines.append(_line(method, points, spread))
    ticks = [(place(0), "0")] + [(place(n), str(n)) for n in sizes]
    return line_figure(
        f"Macro AUROC, {COUNT_NAMES[count]}", lines, x_label="labels", y_label="macro AUROC", x_ticks=ticks
    )


def _line(
    method: str, points: Sequence[tuple[float, float]], band: Sequence[tuple[float, float, float]]
) -> Line:
    known = METHODS[method]
    return Line(known.title, points, band, dashed=not known.transfers, colour=list(METHODS).index(method))


def _against(results: Results, what: str, places: Sequence[float], label: str) -> str:
    """Draw the score against detections or days, with all labels; 0 detections stand for all of them."""
    names = [f"{place:g}" for place in places]
    x = [float(np.log10(place)) if place else float(np.log10(places[-2])) + 0.25 for place in places]
    lines = []
    for method in results.methods:
        each = np.array([[run[what][name] for name in names] for run in _largest(results, method)])
        mean, error = each.mean(axis=0), BAND_SIGMA * each.std(axis=0, ddof=1) / np.sqrt(len(each))
        band = list(zip(x, (mean - error).tolist(), (mean + error).tolist(), strict=True))
        lines.append(_line(method, list(zip(x, mean.tolist(), strict=True)), band))
    ticks = [(one, name if name != "0" else "all") for one, name in zip(x, names, strict=True)]
    return line_figure(
        f"Macro AUROC against {label}, all labels", lines, x_label=label, y_label="macro AUROC", x_ticks=ticks
    )


def _largest(results: Results, method: str) -> list[dict[str, Any]]:
    return [results.runs[method, results.sizes[-1], seed] for seed in results.seeds()]


def _pooled(results: Results, method: str, what: str) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Put the test sets of all seeds together."""
    runs = _largest(results, method)
    truth = np.concatenate([np.array(run["truth"]) for run in runs])
    return truth, np.concatenate([np.array(run[what]) for run in runs])


def _roc(results: Results, method: str, truth: NDArray[np.int64], probability: NDArray[np.float64]) -> str:
    lines = []
    for index, name in enumerate(_classes(results)):
        score, positive = probability[:, index], truth == index
        threshold = np.quantile(score[~positive], 1.0 - FALSE_RATES)
        hits = (score[positive][None, :] >= threshold[:, None]).mean(axis=1)
        hits[0] = (score[positive] > score[~positive].max()).mean()
        points = list(zip(FALSE_RATES.tolist(), hits.tolist(), strict=True))
        lines.append(Line(name, points, marks=False, colour=index, dashed=index >= 6))
    ticks = [(value, f"{value:g}") for value in (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)]
    return line_figure(
        f"ROC, {METHODS[method].title}, all labels", lines, x_label="false positive rate",
        y_label="true positive rate", x_ticks=ticks, y_range=(0.0, 1.0), diagonal=True,
    )  # fmt: skip


def _confusion(
    results: Results, method: str, truth: NDArray[np.int64], probability: NDArray[np.float64]
) -> str:
    counts = confusion_matrix(probability, truth).astype(np.float64)
    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1.0)
    return matrix_figure(f"Confusion, {METHODS[method].title}", _classes(results), share.tolist())


def _reliability(
    results: Results, method: str, truth: NDArray[np.int64], probability: NDArray[np.float64]
) -> str:
    lines = []
    calibrated = _pooled(results, method, "calibrated")[1]
    for colour, (label, values) in enumerate((("before", probability), ("after calibration", calibrated))):
        confidence, accuracy, count = reliability(values, truth, 10)
        some = count >= 10
        points = list(zip(confidence[some].tolist(), accuracy[some].tolist(), strict=True))
        lines.append(Line(label, points, colour=colour))
    ticks = [(value, f"{value:g}") for value in (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)]
    return line_figure(
        f"Reliability, {METHODS[method].title}", lines, x_label="confidence", y_label="accuracy",
        x_ticks=ticks, y_range=(0.0, 1.0), diagonal=True,
    )  # fmt: skip
