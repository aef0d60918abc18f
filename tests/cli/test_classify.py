"""``nightjar classify``, with the models that are shipped."""

import csv
import gzip
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import pytest

from service.cli.commands.classify import classify
from service.core.alerts import Survey
from service.core.classifier import LightCurveBatch, ObjectClassifier
from service.core.models.bundle import load_bundle
from service.decoding.light_curve_table import read_light_curve_table
from service.errors import InputError
from service.tools.classify import classify_table

HEADER = "object_id,mjd,band,mag,mag_err\n"
# Two light curves, rows mixed and not in order of time.
TABLE = HEADER + "".join(
    f"{name},{59000 + day},{band},{mag + 0.03 * day},0.05\n"
    for day in (6, 0, 3, 12, 9, 30, 21)
    for name, mag in (("one", 18.0), ("two", 19.0))
    for band in ("g", "R")
)


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "curves.csv"
    path.write_text(TABLE)
    return path


def run(path: Path, output: Path, survey: Survey = Survey.ZTF, **options: object) -> list[dict[str, str]]:
    classify(path, survey, output, **options)  # type: ignore[arg-type]
    with output.open(newline="") as file:
        return list(csv.DictReader(file))


def probabilities(row: dict[str, str], survey: str = "ztf", column: str = "probability") -> list[float]:
    return [float(row[f"{column}_{name}"]) for name in load_bundle(survey).class_names]


def test_every_object_gets_one_row_whose_probabilities_sum_to_one(table: Path, tmp_path: Path) -> None:
    rows = run(table, tmp_path / "out.csv")
    assert [row["object_id"] for row in rows] == ["one", "two"]
    for row in rows:
        assert (row["status"], row["reason"]) == ("classified", "")
        assert (row["n_observations"], row["n_detections"]) == ("14", "14")
        assert sum(probabilities(row)) == pytest.approx(1.0, abs=1e-4)


def test_how_many_were_classified_is_said(
    table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(table, tmp_path / "out.csv")
    assert capsys.readouterr().err == f"{tmp_path / 'out.csv'}: 2 of 2 objects classified\n"


def test_a_result_depends_on_neither_the_order_of_rows_nor_the_other_objects(
    table: Path, tmp_path: Path
) -> None:
    whole = run(table, tmp_path / "out.csv")
    lines = TABLE.splitlines(keepends=True)
    alone = tmp_path / "alone.csv"
    alone.write_text(HEADER + "".join(sorted(line for line in lines if line.startswith("two"))))
    assert run(alone, tmp_path / "alone_out.csv") == [whole[1]]


@pytest.mark.parametrize("form", ["csv.gz", "parquet"])
def test_all_forms_of_the_input_give_the_same(table: Path, tmp_path: Path, form: str) -> None:
    other = tmp_path / f"curves.{form}"
    if form == "csv.gz":
        other.write_bytes(gzip.compress(TABLE.encode()))
    else:
        pyarrow.parquet.write_table(pyarrow.csv.read_csv(table), other)
    assert run(other, tmp_path / "b.csv") == run(table, tmp_path / "a.csv")


def test_a_magnitude_is_the_flux_it_stands_for(table: Path, tmp_path: Path) -> None:
    columns = pyarrow.csv.read_csv(table)
    flux = 10 ** (-0.4 * (np.asarray(columns["mag"]) - 31.4))
    error = flux * np.asarray(columns["mag_err"]) * np.log(10) / 2.5
    fluxes = columns.select(["object_id", "mjd", "band"])
    fluxes = fluxes.append_column("flux_njy", pa.array(flux)).append_column("flux_err_njy", pa.array(error))
    path = tmp_path / "flux.parquet"
    pyarrow.parquet.write_table(fluxes, path)
    for got, wanted in zip(run(path, tmp_path / "b.csv"), run(table, tmp_path / "a.csv"), strict=True):
        np.testing.assert_allclose(probabilities(got), probabilities(wanted), atol=1e-5)


def test_parquet_output_holds_the_same_as_csv(table: Path, tmp_path: Path) -> None:
    rows = run(table, tmp_path / "out.csv")
    classify(table, Survey.ZTF, tmp_path / "out.parquet")
    written = pyarrow.parquet.read_table(tmp_path / "out.parquet").to_pylist()
    for got, wanted in zip(written, rows, strict=True):
        assert got["object_id"] == wanted["object_id"]
        np.testing.assert_allclose(
            [got[f"probability_{name}"] for name in load_bundle("ztf").class_names],
            probabilities(wanted),
            rtol=1e-4,
        )


def test_without_a_detection_there_is_an_abstention_with_its_reason(tmp_path: Path) -> None:
    path = tmp_path / "faint.csv"
    path.write_text(
        "object_id,mjd,band,flux_njy,flux_err_njy\nfaint,59000,g,400,100\nfaint,59001,r,-100,100\n"
    )
    (row,) = run(path, tmp_path / "out.csv")
    assert (row["status"], row["reason"], row["n_detections"]) == ("abstained", "no_photometry", "0")
    assert row["probability_Ia"] == ""


def test_the_detected_column_decides_where_it_is_given(tmp_path: Path) -> None:
    path = tmp_path / "faint.csv"
    path.write_text(
        "object_id,mjd,band,flux_njy,flux_err_njy,detected\nx,59000,g,400,100,1\nx,59001,r,9000,100,0\n"
    )
    (row,) = run(path, tmp_path / "out.csv")
    assert (row["status"], row["n_observations"], row["n_detections"]) == ("classified", "2", "1")


@pytest.mark.parametrize("count", [1, 3, 5])
def test_early_classification_sees_the_first_detections_only(table: Path, tmp_path: Path, count: int) -> None:
    early = run(table, tmp_path / "early.csv", at_detections=count)
    assert {row["n_detections"] for row in early} == {str(count)}
    curves = read_light_curve_table(table)
    rows = curves.observations[curves.offsets[0] : curves.offsets[0] + count]
    classifier = ObjectClassifier(load_bundle("ztf"))
    nothing = np.full(1, np.nan, np.float32)
    batch = LightCurveBatch(rows, np.array([0, count]), np.full(1, np.inf), nothing, nothing)
    wanted = classifier.classify(batch, classifier.empty_batch(1)).probability[0]
    np.testing.assert_allclose(probabilities(early[0]), wanted, atol=1e-5)


def test_a_redshift_changes_the_result_and_an_empty_one_does_not(table: Path, tmp_path: Path) -> None:
    plain = run(table, tmp_path / "out.csv")
    lines = TABLE.splitlines()
    with_redshift = [lines[0] + ",redshift"] + [
        line + (",0.4" if line[0] == "o" else ",") for line in lines[1:]
    ]
    path = tmp_path / "z.csv"
    path.write_text("\n".join(with_redshift) + "\n")
    rows = run(path, tmp_path / "z_out.csv")
    assert probabilities(rows[0]) != probabilities(plain[0])
    assert probabilities(rows[1]) == probabilities(plain[1])


@pytest.mark.parametrize("survey", [Survey.LSST, Survey.ELASTICC])
def test_lsst_bands_of_either_spelling_are_classified(tmp_path: Path, survey: Survey) -> None:
    path = tmp_path / "lsst.csv"
    rows = [f"1,{61000 + day},{band},{2000 + 100 * day},90\n" for day in range(5) for band in "ugrizY"]
    path.write_text("object_id,mjd,band,flux_njy,flux_err_njy\n" + "".join(rows))
    (row,) = run(path, tmp_path / "out.csv", survey)
    assert (row["object_id"], row["n_detections"], row["status"]) == ("1", "30", "classified")
    assert sum(probabilities(row, "lsst")) == pytest.approx(1.0, abs=1e-4)


def test_more_objects_than_one_batch_come_out_in_order(tmp_path: Path) -> None:
    n = 2100
    table = pa.table(
        {
            "object_id": np.repeat([f"x{index}" for index in range(n)], 2),
            "mjd": np.tile([59000.0, 59003.0], n),
            "band": np.tile(["g", "r"], n),
            "mag": np.repeat(np.linspace(17.0, 20.0, n), 2),
            "mag_err": np.full(2 * n, 0.1),
        }
    )
    path = tmp_path / "many.parquet"
    pyarrow.parquet.write_table(table, path)
    curves = read_light_curve_table(path)
    bundle = load_bundle("ztf")
    whole = classify_table(curves, bundle)
    assert whole["object_id"].to_pylist() == [f"x{index}" for index in range(n)]
    # One object in the middle alone gives the same bits as among all.
    pyarrow.parquet.write_table(table.slice(2 * 1500, 2), path)
    alone = classify_table(read_light_curve_table(path), bundle)
    assert alone["probability_Ia"][0] == whole["probability_Ia"][1500]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("object_id,mjd,band\na,59000,g\n", "no column 'mag'"),
        ("object_id,mjd,band,mag,mag_err\na,59000,q,18,0.1\n", "column band, row 1: 'q'"),
        ("object_id,mjd,band,mag,mag_err\na,59000,g,18,0.1\na,x,g,18,0.1\n", "column mjd, row 2: 'x'"),
        ("object_id,mjd,band,mag,mag_err\na,59000,g,,0.1\n", "column mag, row 1: is empty"),
        ("object_id,mjd,band,mag,mag_err\na,59000,g,18,0\n", "column mag_err, row 1: must be greater than 0"),
        ("object_id,mjd,band,mag,mag_err\n,59000,g,18,0.1\n", "column object_id, row 1: is empty"),
        ("object_id,mjd,band,mag,mag_err,detected\na,59000,g,18,0.1,2\n", "column detected, row 1"),
        ("object_id,mjd,band,mag,mag_err\na,2459000.5,g,18,0.1\n", "column mjd, row 1: is not an MJD"),
        ("", "not a readable table"),
    ],
)
def test_bad_input_is_refused_with_file_column_and_row(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "bad.csv"
    path.write_text(content)
    with pytest.raises(InputError, match=message) as error:
        classify(path, Survey.ZTF, tmp_path / "out.csv")
    assert str(error.value).startswith(str(path))
    assert "\n" not in str(error.value)


def test_a_light_curve_of_the_api_is_classified_as_it_was_in_the_service(table: Path, tmp_path: Path) -> None:
    rows = [line.split(",") for line in TABLE.splitlines()[1:]]
    flux = {mag: 10 ** (-0.4 * (float(mag) - 31.4)) for *_, mag, _ in rows}
    relative_error = 0.05 * np.log(10) / 2.5
    as_served = tmp_path / "served.csv"
    as_served.write_text(
        "object_id,mjd_tai,utc,band,kind,flux_njy,flux_err_njy,mag,mag_err,limiting_mag,source_id\n"
        + "".join(
            f"{name},{mjd},,{band.lower()},detection,{flux[mag]},{flux[mag] * relative_error},,,20,1\n"
            for name, mjd, band, mag, _ in rows
        )
        + "one,59001,,g,upper_limit,0,700,,,20.5,1\none,59001,,r,forced,900,100,,,21,1\n"
    )
    want, got = run(table, tmp_path / "a.csv"), run(as_served, tmp_path / "b.csv")
    assert (got[0]["n_observations"], got[0]["n_detections"]) == ("16", "14")
    for one, other in zip(got, want, strict=True):
        assert probabilities(one) == pytest.approx(probabilities(other), abs=1e-4)
    with pytest.raises(InputError, match="omit --utc"):
        classify(as_served, Survey.ZTF, tmp_path / "c.csv", utc=True)


def test_a_row_with_a_limit_alone_is_an_upper_limit(tmp_path: Path) -> None:
    path = tmp_path / "limits.csv"
    path.write_text(
        "object_id,mjd,band,mag,mag_err,limiting_mag\n"
        "a,59000,g,,,20.5\na,59002,g,18,0.1,20.5\na,59003,r,18.2,0.1,\n"
    )
    curves = read_light_curve_table(path)
    assert curves.observations["kind"].tolist() == [2, 0, 0]
    assert curves.observations["flux_err_njy"][0] == pytest.approx(10 ** (-0.4 * (20.5 - 31.4)) / 5)


def test_a_column_called_kind_that_is_not_ours_is_left_alone(table: Path, tmp_path: Path) -> None:
    lines = table.read_text().splitlines()
    other = tmp_path / "other.csv"
    other.write_text("\n".join([lines[0] + ",kind", *(line + ",diff" for line in lines[1:])]) + "\n")
    assert run(other, tmp_path / "b.csv") == run(table, tmp_path / "a.csv")


def test_what_cannot_be_written_is_said_before_the_work(table: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"\.csv or \.parquet"):
        classify(table, Survey.ZTF, tmp_path / "out.txt")
    with pytest.raises(InputError, match="no directory"):
        classify(table, Survey.ZTF, tmp_path / "nowhere" / "out.csv")


def test_a_model_of_another_survey_is_refused(table: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is for lsst, not for ztf"):
        classify(table, Survey.ZTF, tmp_path / "out.csv", model="lsst")


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        classify(tmp_path / "nope.csv", Survey.ZTF, tmp_path / "out.csv")
