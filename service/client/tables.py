"""Answers as astropy tables, with units."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from service.api.schemas.objects import Epoch, Observation

__all__ = ["epochs_table", "observations_table", "rows_table"]

# Astropy's names of the units that the API's field names end in.
_UNITS = (("_njy", "nJy"), ("_deg", "deg"), ("mjd_tai", "d"), ("age_days", "d"))


def observations_table(rows: Iterable[Observation], meta: Mapping[str, Any]) -> Any:
    """Give a light curve as an `astropy.table.QTable`, one row per observation."""
    return rows_table([row.model_dump(mode="json") for row in rows], Observation.model_fields, meta)


def epochs_table(epochs: Iterable[Epoch], meta: Mapping[str, Any]) -> Any:
    """Give a history as an `astropy.table.QTable`: one row per alert, one column per class.

    The probability of a class is in ``p_<class>``, and before calibration in ``raw_<class>``; masked for
    alerts that were not classified, or by a model without that class.
    """
    kept = [name for name in Epoch.model_fields if name not in {"classifier", "top_class", "classifications"}]
    rows = []
    for one in epochs:
        plain = one.model_dump(mode="json", include=set(kept))
        model = {"model": f"{one.classifier.name} {one.classifier.version}" if one.classifier else None}
        vector = {f"p_{c.class_name}": c.probability for c in one.classifications}
        raw = {f"raw_{c.class_name}": c.raw_probability for c in one.classifications}
        rows.append(plain | model | vector | raw)
    classes = dict.fromkeys(name for row in rows for name in row if name not in kept and name != "model")
    return rows_table(rows, [*kept, "model", *classes], meta)


def rows_table(rows: Sequence[Mapping[str, Any]], names: Iterable[str], meta: Mapping[str, Any]) -> Any:
    """Give rows as an `astropy.table.QTable`; what a row does not have is masked.

    Raises
    ------
    ImportError
        Astropy is not installed.
    """
    from astropy.table import Column, MaskedColumn, QTable

    table = QTable(meta=dict(meta))
    for name in names:
        values = [row.get(name) for row in rows]
        mask = [value is None for value in values]
        filler = next((value for value in values if value is not None), 0.0)
        column = [filler if value is None else value for value in values]
        unit = next((unit for suffix, unit in _UNITS if name.endswith(suffix)), None)
        # Ids of sources take all 64 bits, more than numpy's default integer holds.
        dtype = np.uint64 if isinstance(filler, int) and name.endswith("_id") else None
        if any(mask):
            table[name] = MaskedColumn(column, mask=mask, unit=unit, dtype=dtype)
        else:
            table[name] = Column(column, unit=unit, dtype=dtype)
    return table
