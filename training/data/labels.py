"""Class names: how each source spells a type, and the classes of the models."""

import numpy as np
from numpy.typing import NDArray

__all__ = ["LSST_CLASSES", "PAPER_CLASSES", "ZTF_CLASSES", "class_index", "coarse_class", "coarse_classes"]

# The 12 classes of arXiv:2502.18558, table 1.
PAPER_CLASSES = ("Ia", "91bg", "Iax", "Ib", "Ic", "Ic-BL", "II", "IIn", "IIb", "SLSN-I", "TDE", "AGN")
# Besides the five classes of BTS, the stream needs AGN and everything that is not a transient of these.
ZTF_CLASSES = ("Ia", "Ib/c", "II", "SLSN-I", "TDE", "AGN", "Other")
LSST_CLASSES = ZTF_CLASSES

_OTHER = (
    *("other", "Other", "nova", "LBV", "ILRT", "LRN", "Ca-rich", "ILOT", "KN", "uLens", "M-dwarf Flare"),
    *("CV", "dwarf nova", "Dwarf Nova", "variable", "Variable", "Periodic"),
    *("RRL", "RR Lyrae", "Ceph", "Cepheid", "DSCT", "Delta Scuti", "EB", "LPV", "LPV/Mira"),
)
_EXACT = {
    "SLSN-I": "SLSN-I",
    "SLSN": "SLSN-I",
    "TDE": "TDE",
    "AGN": "AGN",
    "QSO": "AGN",
    "Blazar": "AGN",
    "91bg": "Ia",
    "Iax": "Ia",
    "SNIax": "Ia",
    "SNIa-91bg": "Ia",
    **dict.fromkeys(_OTHER, "Other"),
}
# Hydrogen-rich superluminous supernovae belong to none of the models' classes.
_LEFT_OUT = ("SLSN-II",)


def coarse_class(label: str) -> str:
    """Return the models' class of a source's label; empty if it has none.

    The rule is that of `ztf_bts_antares`: Ia includes all its subtypes, Ib/c all stripped-envelope
    supernovae, Ibn and Icn among them, and II every other hydrogen-rich supernova, IIb among them.

    Parameters
    ----------
    label
        As the source spells it.
    """
    name = label.strip()
    if name in _LEFT_OUT or not name:
        return ""
    if name in _EXACT:
        return _EXACT[name]
    if name.startswith(("KN", "CART", "PISN", "uLens")):
        return "Other"
    if name.startswith(("SLSN-I", "SLSN")):
        return "SLSN-I"
    if name.startswith("TDE"):
        return "TDE"
    core = name.removeprefix("SN").strip(" -")
    for start, coarse in (("Ia", "Ia"), ("II", "II"), ("Ib", "Ib/c"), ("Ic", "Ib/c")):
        if core.startswith(start):
            return coarse
    return ""


def coarse_classes(labels: NDArray[np.str_]) -> NDArray[np.str_]:
    """Return `coarse_class` of many labels, str, shape (n,).

    Parameters
    ----------
    labels
        Shape (n,).
    """
    names, codes = np.unique(labels, return_inverse=True)
    coarse: NDArray[np.str_] = np.array([coarse_class(str(name)) for name in names], dtype=np.str_)
    return coarse[codes] if len(names) else np.zeros(0, dtype=np.str_)


def class_index(labels: NDArray[np.str_], classes: tuple[str, ...]) -> NDArray[np.int64]:
    """Return the index of each label in `classes`.

    Parameters
    ----------
    labels
        Shape (n,).
    classes
        Names, in order.

    Returns
    -------
    ndarray, shape (n,), int64
        -1 for a label that is not a class.
    """
    index_of = {name: index for index, name in enumerate(classes)}
    return np.array([index_of.get(str(label), -1) for label in labels], dtype=np.int64)
