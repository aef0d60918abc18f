"""The results as one self-contained HTML page."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.data.labels import PAPER_CLASSES
from training.data.real import REAL_ZTF_CLASSES
from training.eval.metrics import confusion_matrix, reliability
from training.reproduce.figures import STYLE, Line, line_figure, matrix_figure
from training.reproduce.methods import METHODS, REAL
from training.reproduce.runs import DAYS, DETECTIONS
from training.reproduce.scale import Scale
from training.reproduce.summary import Results

__all__ = ["TITLES", "figures", "page"]

TITLES = {"real-ztf": "Simulated ZTF to real ZTF", "lsst": "ZTF to LSST"}
COUNT_NAMES = {"3": "3 detections", "5": "5 detections", "10": "10 detections", "0": "whole light curves"}
# Half-width of a 95% interval of the mean over seeds, in standard errors.
BAND_SIGMA = 1.96
# Below so many objects seen in training, scores from scratch on real ZTF still rise (training/LOG.md).
FEWEST_SEEN = 50_000
FALSE_POSITIVE_RATES = np.linspace(0.0, 1.0, 101)
UNIT_TICKS = [(value, f"{value:g}") for value in (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)]
FEWEST_IN_BIN = 10  # a reliability bin with fewer objects is not drawn

PAGE_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper);
       max-width: 1120px; margin: 2rem auto; padding: 0 1rem; }
.figures { display: grid; grid-template-columns: repeat(auto-fit, minmax(420px, 1fr)); gap: 1rem; }
figure { margin: 0; } svg { width: 100%; height: auto; }
table { border-collapse: collapse; margin: 1rem 0; font-variant-numeric: tabular-nums; }
th, td { padding: .25rem .7rem; border-bottom: 1px solid var(--grid); text-align: left; }
"""


def page(results: Sequence[Results], summaries: Sequence[Mapping[str, Any]], scale: Scale) -> str:
    """Return the page: for each experiment tables, then figures.

    Parameters
    ----------
    results, summaries
        Of each experiment.
    scale
        Named in the introduction.
    """
    body = [_introduction(scale)]
    for experiment, summary in zip(results, summaries, strict=True):
        heading = f"<h2>{TITLES[experiment.experiment]}</h2>"
        body.append(f"{heading}{_facts(experiment, summary)}{_comparisons(summary)}{_scores(summary)}")
        drawn = "".join(f"<figure>{figure}</figure>" for figure in figures(experiment).values())
        body.append(f'<div class="figures">{drawn}</div>')
    style = f"<style>{STYLE}{PAGE_STYLE}</style>"
    head = f'<meta charset="utf-8"><meta name="viewport" content="width=device-width">{style}'
    title = "Transfer from simulations to real data and from ZTF to LSST"
    return (
        f'<!doctype html><html lang="en"><head>{head}<title>{title}</title></head><body><h1>{title}</h1>'
        + ("".join(body) + "</body></html>\n")
    )


def figures(results: Results) -> dict[str, str]:
    """Return an experiment's figures, name to SVG; empty without a finished seed.

    Parameters
    ----------
    results
        Of one experiment.
    """
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
    seen = scale.epochs * scale.objects_per_epoch
    warning = (
        f"<p><strong>Each network saw at most {seen} objects: too few for its scores to be meaningful. This "
        "run shows that everything works.</strong></p>"
        if seen < FEWEST_SEEN
        else ""
    )
    return (
        "<p>The experiments of <a href='https://arxiv.org/abs/2502.18558'>arXiv 2502.18558</a>, with its "
        "network and freezing and with ours, each also from scratch. Every seed draws its own split, subsets "
        "and initial weights; all methods share them. One validation set, the same whatever the number of "
        "labels, stops all runs by one rule; an epoch has as many gradient steps for few labels as for many. "
        f"Bands and brackets: 95% over seeds. Size of this run: {escape(scale.name)}, at most {scale.epochs} "
        f"epochs of {scale.objects_per_epoch} objects.</p>{warning}"
    )


def _facts(results: Results, summary: Mapping[str, Any]) -> str:
    if not results.seeds():
        return "<p>No seed has finished yet.</p>"
    sizes = ", ".join(map(str, summary["sizes"]))
    classes = ", ".join(_classes(results))
    return f"<p>{summary['seeds']} seeds; labels: {sizes}. Scores are macro AUROC over {classes}.</p>"


def _classes(results: Results) -> tuple[str, ...]:
    return REAL_ZTF_CLASSES if results.experiment == REAL else PAPER_CLASSES


def _comparisons(summary: Mapping[str, Any]) -> str:
    headings = (
        *("transfer", "against", "scored on", "label reduction at equal score"),
        *("score at 30% of the labels / full", "gain at fewest labels", "at all"),
    )
    rows = ["<tr>" + "".join(f"<th>{heading}</th>" for heading in headings) + "</tr>"]
    for comparison in summary["comparisons"]:
        methods = (METHODS[comparison["transfer"]].title, METHODS[comparison["scratch"]].title)
        for count, values in comparison["by_detections"].items():
            gains = list(values["gain"].values())
            cells = (
                *methods,
                COUNT_NAMES[count],
                _bracket(values["label_reduction"], share=True),
                _bracket(values["fraction_at_30_percent"], share=True),
                _bracket(gains[0]),
                _bracket(gains[-1]),
            )
            rows.append("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in cells) + "</tr>")
    return f"<table>{''.join(rows)}</table>"


def _scores(summary: Mapping[str, Any]) -> str:
    """Return the learning curves of whole light curves as a table."""
    of_method = summary["macro_auroc"]["0"]
    sizes = sorted({int(size) for curve in of_method.values() for size in curve})
    rows = ["<tr><th>labels</th>" + "".join(f"<th>{n}</th>" for n in sizes) + "</tr>"]
    for method, curve in of_method.items():
        cells = [_bracket(curve[str(n)]) if str(n) in curve else "" for n in sizes]
        title = escape(METHODS[method].title)
        rows.append(f"<tr><td>{title}</td>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>")
    return f"<table>{''.join(rows)}</table>"


def _bracket(values: Sequence[float | None], *, share: bool = False) -> str:
    """Return an interval as text; None stands for a score that is not reached."""
    if values[0] is None:
        return "not reached"
    text = ["none" if v is None else f"{100 * v:.1f}%" if share else f"{v:.3f}" for v in values]
    return f"{text[0]} [{text[1]}, {text[2]}]"


def _learning_curves(results: Results, count: str) -> str:
    generator = np.random.default_rng(0)
    sizes = results.sizes

    def position(labels: int) -> float:
        # 0 labels have no logarithm; they are drawn at a third of the smallest number.
        return float(np.log10(labels or sizes[0] / 3.0))

    lines = []
    for method in results.methods:
        curve = results.curve(method, count)
        band = curve.band(generator)
        points = [(position(n), mean.value) for n, mean in zip(curve.sizes, band, strict=True)]
        spread = [(position(n), mean.low, mean.high) for n, mean in zip(curve.sizes, band, strict=True)]
        lines.append(_line(method, points, spread))
    ticks = [(position(0), "0")] + [(position(n), str(n)) for n in sizes]
    return line_figure(
        f"Macro AUROC, {COUNT_NAMES[count]}", lines, x_label="labels", y_label="macro AUROC", x_ticks=ticks
    )


def _line(
    method: str, points: Sequence[tuple[float, float]], band: Sequence[tuple[float, float, float]]
) -> Line:
    details = METHODS[method]
    return Line(details.title, points, band, dashed=not details.transfers, colour=list(METHODS).index(method))


def _against(results: Results, what: str, values: Sequence[float], label: str) -> str:
    """Draw the score with all labels against detections or days; 0 detections stand for all of them."""
    names = [f"{value:g}" for value in values]
    x = [float(np.log10(value)) if value else float(np.log10(values[-2])) + 0.25 for value in values]
    lines = []
    for method in results.methods:
        scores = np.array([[run[what][name] for name in names] for run in _largest(results, method)])
        mean = scores.mean(axis=0)
        error = BAND_SIGMA * scores.std(axis=0, ddof=1) / np.sqrt(len(scores))
        band = list(zip(x, (mean - error).tolist(), (mean + error).tolist(), strict=True))
        lines.append(_line(method, list(zip(x, mean.tolist(), strict=True)), band))
    ticks = [(position, name if name != "0" else "all") for position, name in zip(x, names, strict=True)]
    return line_figure(
        f"Macro AUROC against {label}, all labels", lines, x_label=label, y_label="macro AUROC", x_ticks=ticks
    )


def _largest(results: Results, method: str) -> list[dict[str, Any]]:
    """Return the runs of a method with all labels."""
    return [results.runs[method, results.sizes[-1], seed] for seed in results.seeds()]


def _pooled(results: Results, method: str, what: str) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return the true classes and the probabilities of the test sets of all seeds together."""
    runs = _largest(results, method)
    truth = np.concatenate([np.array(run["truth"]) for run in runs])
    return truth, np.concatenate([np.array(run[what]) for run in runs])


def _roc(results: Results, method: str, truth: NDArray[np.int64], probability: NDArray[np.float64]) -> str:
    lines = []
    for index, name in enumerate(_classes(results)):
        score, positive = probability[:, index], truth == index
        threshold = np.quantile(score[~positive], 1.0 - FALSE_POSITIVE_RATES)
        hits = (score[positive][None, :] >= threshold[:, None]).mean(axis=1)
        hits[0] = (score[positive] > score[~positive].max()).mean()
        points = list(zip(FALSE_POSITIVE_RATES.tolist(), hits.tolist(), strict=True))
        lines.append(Line(name, points, marks=False, colour=index, dashed=index >= 6))
    return line_figure(
        f"ROC, {METHODS[method].title}, all labels",
        lines,
        x_label="false positive rate",
        y_label="true positive rate",
        x_ticks=UNIT_TICKS,
        y_range=(0.0, 1.0),
        diagonal=True,
    )


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
        filled = count >= FEWEST_IN_BIN
        points = list(zip(confidence[filled].tolist(), accuracy[filled].tolist(), strict=True))
        lines.append(Line(label, points, colour=colour))
    return line_figure(
        f"Reliability, {METHODS[method].title}",
        lines,
        x_label="confidence",
        y_label="accuracy",
        x_ticks=UNIT_TICKS,
        y_range=(0.0, 1.0),
        diagonal=True,
    )
