"""Topics find their survey, and a service never reads what it writes."""

import pytest

from service.core.alerts import Survey
from service.errors import SettingsError
from service.worker.topics import SourceTopics

WRITTEN = ("nightjar.classifications", "nightjar.rejected")


def test_names_and_patterns_find_their_survey() -> None:
    topics = SourceTopics(
        {Survey.ZTF: ("^ztf_[0-9]+_programid[123]$",), Survey.LSST: ("lsst-alerts-v10.0", "^lsst-.*")},
        WRITTEN,
    )

    assert topics.survey("ztf_20260407_programid1") is Survey.ZTF
    assert topics.survey("lsst-alerts-v10.0") is Survey.LSST
    assert topics.survey("lsst-alerts-v11") is Survey.LSST
    assert topics.subscription == ("^ztf_[0-9]+_programid[123]$", "lsst-alerts-v10.0", "^lsst-.*")


def test_a_name_comes_before_the_pattern_of_another_survey() -> None:
    topics = SourceTopics({Survey.ZTF: ("^alerts.*",), Survey.ELASTICC: ("alerts-elasticc",)}, WRITTEN)

    assert topics.survey("alerts-elasticc") is Survey.ELASTICC
    assert topics.survey("alerts-ztf") is Survey.ZTF


@pytest.mark.parametrize(
    ("by_survey", "complaint"),
    [
        ({}, "NIGHTJAR_ZTF_TOPICS"),
        ({Survey.ZTF: ()}, "NIGHTJAR_ZTF_TOPICS"),
        ({Survey.ZTF: ("alerts",), Survey.LSST: ("alerts",)}, "two surveys"),
        ({Survey.ZTF: ("^ztf_[",)}, "regular expression"),
        ({Survey.ZTF: ("^.*",)}, "nightjar.classifications"),
        ({Survey.ZTF: ("nightjar.rejected",)}, "nightjar.rejected"),
    ],
)
def test_topics_that_cannot_work_are_refused(
    by_survey: dict[Survey, tuple[str, ...]], complaint: str
) -> None:
    with pytest.raises(SettingsError, match=complaint.replace("^", "\\^")):
        SourceTopics(by_survey, WRITTEN)


def test_a_topic_that_only_librdkafka_matches_is_named() -> None:
    topics = SourceTopics({Survey.ZTF: ("^ztf_a",)}, WRITTEN)

    with pytest.raises(SettingsError, match="ztf_b"):
        topics.survey("ztf_b")
