"""Class names: how each source spells a type, and the heads that the models have."""

import numpy as np
from numpy.typing import NDArray

__all__ = ["LSST_CLASSES", "PAPER_CLASSES", "ZTF_CLASSES", "class_index", "coarse_class", "coarse_classes"]

# The transfer-learning paper's 12 classes (arXiv 2502.18558, table 1).
PAPER_CLASSES = ("Ia", "91bg", "Iax", "Ib", "Ic", "Ic-BL", "II", "IIn", "IIb", "SLSN-I", "TDE", "AGN")
# What the stream needs beside the five classes of BTS: everything that is no supernova-like transient.
ZTF_CLASSES = ("Ia", "Ib/c", "II", "SLSN-I", "TDE", "AGN", "Other")
LSST_CLASSES = ZTF_CLASSES

_EXACT = {
    "SLSN-I": "SLSN-I", "SLSN": "SLSN-I", "TDE": "TDE", "AGN": "AGN", "QSO": "AGN", "Blazar": "AGN",
    "91bg": "Ia", "Iax": "Ia", "SNIax": "Ia", "SNIa-91bg": "Ia",
    "nova": "Other", "LBV": "Other", "ILRT": "Other", "LRN": "Other", "Ca-rich": "Other", "ILOT": "Other",
    "other": "Other", "Other": "Other", "KN": "Other", "CV": "Other", "dwarf nova": "Other",
    "variable": "Other", "RRL": "Other", "Ceph": "Other", "EB": "Other", "LPV": "Other", "DSCT": "Other",
    "Dwarf Nova": "Other", "uLens": "Other", "M-dwarf Flare": "Other", "Periodic": "Other",
    "RR Lyrae": "Other", "Cepheid": "Other", "Delta Scuti": "Other", "LPV/Mira": "Other", "Variable": "Other",
}  # fmt: skip
# Hydrogen-rich superluminous supernovae belong to neither of the heads' classes; they are left out.
_LEFT_OUT = ("SLSN-II",)


def coarse_class(label: str) -> str:
    """Map a source's own label to a class of the heads; empty where it has none there.

    The rule of `ztf_bts_antares`: Ia with all its kinds; stripped envelope with Ibn and Icn; every other
    hydrogen-rich supernova, IIb among them, as II.
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
    """Map many labels, shape (n,)."""
    names, codes = np.unique(labels, return_inverse=True)
    coarse: NDArray[np.str_] = np.array([coarse_class(str(name)) for name in names], dtype=np.str_)
    return coarse[codes] if len(names) else np.zeros(0, dtype=np.str_)


def class_index(labels: NDArray[np.str_], classes: tuple[str, ...]) -> NDArray[np.int64]:
    """Index of each label in `classes`, -1 where it is not one of them."""
    place = {name: index for index, name in enumerate(classes)}
    return np.array([place.get(str(label), -1) for label in labels], dtype=np.int64)
