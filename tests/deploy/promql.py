"""What PromQL expressions ask for, and which labels their results carry."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import promql_parser as promql

__all__ = ["Asked", "asked", "result_labels"]

# Labels that Prometheus adds to whatever it scrapes.
SCRAPED = frozenset({"job", "instance"})
TWO_SIDED = {"and", "or", "unless"}


@dataclass(frozen=True, slots=True)
class Asked:
    """One selector of an expression."""

    metric: str
    labels: frozenset[str]


def asked(expression: str) -> Iterator[Asked]:
    """Every selector, with the labels it selects by or that sums around it keep."""
    return _asked(promql.parse(expression), frozenset())


def _asked(node: promql.Expr, kept: frozenset[str]) -> Iterator[Asked]:
    match node:
        case promql.VectorSelector():
            names = {matcher.name for matcher in node.matchers.matchers}
            yield Asked(node.name or "", frozenset(names) | kept)
        case promql.MatrixSelector():
            yield from _asked(node.vector_selector, kept)
        case promql.AggregateExpr():
            yield from _asked(node.expr, frozenset(_by(node)))
        case promql.BinaryExpr():
            yield from _asked(node.lhs, kept)
            yield from _asked(node.rhs, frozenset())
        case promql.ParenExpr() | promql.UnaryExpr() | promql.SubqueryExpr():
            yield from _asked(node.expr, kept)
        case promql.Call():
            for argument in node.args:
                yield from _asked(argument, kept)
        case _:
            assert isinstance(node, promql.NumberLiteral | promql.StringLiteral), type(node)


def result_labels(expression: str, labels_of: Mapping[str, frozenset[str]]) -> frozenset[str]:
    """Labels of the series an expression gives.

    Parameters
    ----------
    expression
        A query.
    labels_of
        Labels of every metric that it may ask for.
    """
    return _labels(promql.parse(expression), labels_of) or frozenset()


def _labels(node: promql.Expr, labels_of: Mapping[str, frozenset[str]]) -> frozenset[str] | None:
    """None for a plain number."""
    match node:
        case promql.VectorSelector():
            return labels_of[node.name or ""] | SCRAPED
        case promql.MatrixSelector():
            return _labels(node.vector_selector, labels_of)
        case promql.AggregateExpr():
            return frozenset(_by(node))
        case promql.BinaryExpr():
            left = _labels(node.lhs, labels_of)
            return _labels(node.rhs, labels_of) if left is None else left
        case promql.ParenExpr() | promql.UnaryExpr() | promql.SubqueryExpr():
            return _labels(node.expr, labels_of)
        case promql.Call():
            return _labels_of_call(node, labels_of)
    return None


def _labels_of_call(node: promql.Call, labels_of: Mapping[str, frozenset[str]]) -> frozenset[str] | None:
    found = [labels for argument in node.args if (labels := _labels(argument, labels_of)) is not None]
    if node.func.name == "absent":
        return frozenset()
    dropped = {"le"} if node.func.name == "histogram_quantile" else set()
    return found[0] - dropped if found else None


def _by(node: promql.AggregateExpr) -> list[str]:
    if node.modifier is None:
        return []
    assert node.modifier.type == promql.AggModifierType.By, "sums name the labels they keep"
    return node.modifier.labels
