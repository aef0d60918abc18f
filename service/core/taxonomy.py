"""Class names and their ids in the DESC taxonomy that brokers publish.

Source: LSSTDESC/elasticc, ``taxonomy/taxonomy.ipynb`` (the four-digit ids; the three-digit ones are
obsolete).
"""

from types import MappingProxyType

__all__ = [
    "CLASS_IDS",
    "NOT_CLASSIFIED_ID",
    "RESIDUAL_ID",
    "TAXONOMY",
    "class_id",
    "taxonomy_name",
]

RESIDUAL_ID = 200
"""Receives the probability not assigned to any published class."""

NOT_CLASSIFIED_ID = 300
"""Published with probability 1 for an abstention."""

TAXONOMY = MappingProxyType(
    {
        100: "Meta/Other",
        200: "Residual",
        300: "NotClassified",
        1000: "Static",
        1100: "Static/Other",
        2000: "Variable",
        2100: "Variable/Other",
        2200: "Non-Recurring",
        2210: "Non-Recurring/Other",
        2220: "SN-like",
        2221: "SN-like/Other",
        2222: "Ia",
        2223: "Ib/c",
        2224: "II",
        2225: "Iax",
        2226: "91bg",
        2230: "Fast",
        2231: "Fast/Other",
        2232: "KN",
        2233: "M-dwarf Flare",
        2234: "Dwarf Nova",
        2235: "uLens",
        2240: "Long",
        2241: "Long/Other",
        2242: "SLSN",
        2243: "TDE",
        2244: "ILOT",
        2245: "CART",
        2246: "PISN",
        2300: "Recurring",
        2310: "Recurring/Other",
        2320: "Periodic",
        2321: "Periodic/Other",
        2322: "Cepheid",
        2323: "RR Lyrae",
        2324: "Delta Scuti",
        2325: "EB",
        2326: "LPV/Mira",
        2330: "Non-Periodic",
        2331: "Non-Periodic/Other",
        2332: "AGN",
    }
)
"""Name of each id; a node called just "Other" in the taxonomy is prefixed with its parent's name here."""

_MODEL_CLASS_IDS = {
    # Finer than the taxonomy: ELAsTiCC counts SNIIb and SNIIn models as II, all stripped Ib, Ic, Ic-BL
    # models as Ib/c.
    "Ib": 2223,
    "Ic": 2223,
    "Ic-BL": 2223,
    "IIn": 2224,
    "IIb": 2224,
    "SLSN-I": 2242,
    "SLSN-II": 2242,
    # Everything in a stream that is none of a model's transient classes.
    "Other": 2100,
}

CLASS_IDS = MappingProxyType({name: number for number, name in TAXONOMY.items()} | _MODEL_CLASS_IDS)
"""Taxonomy id of every class name a model may use; several names may share one id."""


def class_id(name: str) -> int:
    """Return the taxonomy id of a class name.

    Parameters
    ----------
    name
        One of `CLASS_IDS`.

    Raises
    ------
    KeyError
        If no class has that name.
    """
    return CLASS_IDS[name]


def taxonomy_name(number: int) -> str:
    """Return the taxonomy's name of an id.

    Parameters
    ----------
    number
        One of `TAXONOMY`.

    Raises
    ------
    KeyError
        If the taxonomy has no such id.
    """
    return TAXONOMY[number]
