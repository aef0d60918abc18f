import re
from pathlib import Path

import pytest

from service.core.taxonomy import CLASS_IDS, TAXONOMY, class_id, taxonomy_name

TWELVE = {
    "Ia": 2222, "91bg": 2226, "Iax": 2225, "Ib": 2223, "Ic": 2223, "Ic-BL": 2223,
    "II": 2224, "IIn": 2224, "IIb": 2224, "TDE": 2243, "SLSN-I": 2242, "AGN": 2332,
}  # fmt: skip
STREAM = {"Ib/c": 2223, "Other": 2100, "Periodic": 2320, "KN": 2232, "Dwarf Nova": 2234}


@pytest.mark.parametrize(("name", "number"), (TWELVE | STREAM).items())
def test_project_class_has_its_taxonomy_id(name: str, number: int) -> None:
    assert class_id(name) == number


def test_every_class_id_is_a_node_of_the_taxonomy() -> None:
    assert set(CLASS_IDS.values()) == set(TAXONOMY)


def test_every_id_lies_below_its_parent() -> None:
    for number in TAXONOMY:
        parent = int(re.sub(r"[1-9](0*)$", r"0\1", str(number)))
        assert parent == 0 or parent in TAXONOMY, number


def test_unknown_names_and_ids_are_refused() -> None:
    with pytest.raises(KeyError):
        class_id("Supernova")
    with pytest.raises(KeyError):
        taxonomy_name(111)


def test_taxonomy_equals_the_published_list(shared: Path) -> None:
    text = (shared / "output.md").read_text(encoding="utf-8")
    published = text[text.index("**Taxonomy (ids)**") : text.index("## Ours")]
    ids = {int(number) for number in re.findall(r"\b([1-9]\d{2,3})\b", published)} - {111, 221}
    assert ids == set(TAXONOMY)
