import pytest

from service.core.alerts import Survey, model_survey, surveys_of_model


@pytest.mark.parametrize(
    ("survey", "expected"),
    [
        (Survey.ZTF, (Survey.ZTF,)),
        (Survey.LSST, (Survey.LSST, Survey.ELASTICC)),
        (Survey.ELASTICC, (Survey.LSST, Survey.ELASTICC)),
    ],
)
def test_models_of_lsst_classify_elasticc_too(survey: Survey, expected: tuple[Survey, ...]) -> None:
    assert surveys_of_model(survey) == expected
    assert {model_survey(member) for member in expected} == {expected[0]}
