import numpy as np
import pytest

from training.data.labels import PAPER_CLASSES, ZTF_CLASSES, class_index, coarse_class, coarse_classes


@pytest.mark.parametrize(
    ("label", "coarse"),
    [
        ("SN Ia-91T", "Ia"),
        ("SNIa-SALT2", "Ia"),
        ("91bg", "Ia"),
        ("Iax", "Ia"),
        ("SN Ia-CSM", "Ia"),
        ("SN Ibn", "Ib/c"),
        ("SN Ic-BL", "Ib/c"),
        ("SN Ib/c", "Ib/c"),
        ("Ic", "Ib/c"),
        ("SNIbc", "Ib/c"),
        ("SN IIb", "II"),
        ("SNII+HostXT_V19", "II"),
        ("IIn", "II"),
        ("SN II-pec", "II"),
        ("SLSN-I", "SLSN-I"),
        ("SLSN-II", ""),
        ("TDE", "TDE"),
        ("AGN", "AGN"),
        ("nova", "Other"),
        ("KN_B19", "Other"),
        ("LRN", "Other"),
        ("", ""),
        ("unheard of", ""),
    ],
)
def test_a_sources_label_becomes_a_class_of_the_heads(label: str, coarse: str) -> None:
    assert coarse_class(label) == coarse


def test_every_class_of_the_paper_has_a_place_in_the_heads() -> None:
    assert set(coarse_classes(np.array(PAPER_CLASSES))) <= set(ZTF_CLASSES)


def test_a_label_that_is_no_class_has_index_minus_one() -> None:
    assert class_index(np.array(["TDE", "x"]), ZTF_CLASSES).tolist() == [4, -1]
