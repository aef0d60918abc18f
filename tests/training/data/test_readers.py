"""Every reader against the small files in the formats that users bring."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
from astropy.io import fits

from service.core.alerts import Band, Kind, Survey
from service.errors import InputError
from training.data.alerce import read_alerce
from training.data.plasticc import read_plasticc
from training.data.simulated import read_simulated
from training.data.snana import FLUXCAL_TO_NJY, read_snana_fits, read_snana_text
from training.data.tables import read_generic


@pytest.fixture(scope="module")
def fixtures(shared: Path) -> Path:
    return shared / "lightcurves" / "format_fixtures"


def test_snana_fits_rows_belong_to_their_objects(fixtures: Path) -> None:
    head = fixtures / "snana_fits" / "DES_Ia-0001_HEAD.FITS.gz"
    curves = read_snana_fits(head, Survey.LSST)
    with fits.open(head) as file, fits.open(head.with_name("DES_Ia-0001_PHOT.FITS.gz")) as photometry:
        objects, rows = file[1].data, photometry[1].data
        assert curves.counts.tolist() == objects["NOBS"].tolist()
        # In this file PTROBS is right for the first four objects only: objects were cut out of it.
        for index, (first, last) in {3: (187, 267), 4: (269, 336)}.items():
            np.testing.assert_allclose(
                np.sort(curves.rows(index)["flux_njy"]),
                np.sort(rows["FLUXCAL"][first - 1 : last]) * FLUXCAL_TO_NJY,
                rtol=1e-6,
            )
    assert set(curves.label.tolist()) == {"SALT2.JLA-B14"}
    assert np.isfinite(curves.redshift).all()


def test_snana_fits_without_its_photometry_is_refused(tmp_path: Path, fixtures: Path) -> None:
    head = tmp_path / "X_HEAD.FITS.gz"
    head.write_bytes((fixtures / "snana_fits" / "DES_Ia-0001_HEAD.FITS.gz").read_bytes())
    with pytest.raises(InputError, match="X_PHOT"):
        read_snana_fits(head, Survey.LSST)


def test_snana_text_files_become_one_set(fixtures: Path) -> None:
    paths = sorted((fixtures / "snana_text_ps1").glob("*.dat"))
    curves = read_snana_text(paths, Survey.LSST)
    assert len(curves) == len(paths) == 10
    assert curves.object_id[0] == "PSc000001"
    assert curves.redshift[0] == pytest.approx(0.0713)
    assert curves.mwebv[0] == pytest.approx(0.0075)
    peak = curves.rows(0)[curves.rows(0)["mjd_tai"] == 55203.3]
    g = peak[peak["band"] == Band.G]
    assert g["flux_njy"][0] == pytest.approx(1381.526 * FLUXCAL_TO_NJY, rel=1e-5)


def test_a_snana_text_file_without_a_column_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.dat"
    path.write_text("SNID: x\nVARLIST: MJD FLT FLUXCAL\nOBS: 55000 g 12.0\n")
    with pytest.raises(InputError, match="FLUXCALERR"):
        read_snana_text([path], Survey.LSST)


def test_alerce_tables_give_signed_detections_limits_and_classes(fixtures: Path, tmp_path: Path) -> None:
    folder = fixtures / "alerce_ztf"
    labels = tmp_path / "labels.csv"
    labels.write_text("objectId,classALeRCE\nZTF17aaaemke,AGN\n")
    curves = read_alerce(
        folder / "detections_sample.parquet",
        non_detections=folder / "non_detections_sample.parquet",
        labels=labels,
    )
    kind = np.bincount(curves.observations["kind"])
    assert kind[Kind.DETECTION] == 2586
    assert kind[Kind.UPPER_LIMIT] > 0
    assert curves.label[curves.object_id == "ZTF17aaaemke"].tolist() == ["AGN"]
    first = pyarrow.parquet.read_table(folder / "detections_sample.parquet").slice(0, 1).to_pylist()[0]
    rows = curves.rows(int(np.flatnonzero(curves.object_id == first["oid"])[0]))
    same = rows[np.argmin(np.abs(rows["mjd_tai"] - first["mjd"] - 37.0 / 86400.0))]
    assert same["flux_njy"] == pytest.approx(-(10 ** (-0.4 * (first["magpsf"] - 31.4))), rel=1e-5)


def test_elasticc_data_frame_joins_its_metadata(fixtures: Path) -> None:
    folder = fixtures / "alerce_ztf"
    curves = read_plasticc(folder / "elasticc_lc_chunk.parquet", folder / "elasticc_metadata_chunk.parquet")
    assert len(curves) == 10
    assert len(curves.observations) == 1521
    first = curves.object_id.tolist().index("9038703")
    assert curves.redshift[first] == pytest.approx(1.0780096)
    assert curves.mwebv[first] == pytest.approx(0.0490897)
    assert curves.rows(first)["flux_njy"][0] == pytest.approx(0.66887009 * FLUXCAL_TO_NJY)


def test_plasticc_numbers_become_bands_classes_and_detections(tmp_path: Path) -> None:
    curves_file, metadata = tmp_path / "training_set.csv", tmp_path / "metadata.csv"
    curves_file.write_text(
        "object_id,mjd,passband,flux,flux_err,detected_bool\n615,59750.4,2,-544.8,3.6,1\n615,59750.5,5,0.5,3,0\n"
    )
    metadata.write_text("object_id,ra,decl,hostgal_specz,mwebv,target\n615,349.0,-61.9,0.0,0.017,92\n")
    curves = read_plasticc(curves_file, metadata)
    assert curves.observations["band"].tolist() == [Band.R, Band.Y]
    assert curves.observations["kind"].tolist() == [Kind.DETECTION, Kind.FORCED]
    assert curves.label.tolist() == ["RRL"]
    assert np.isnan(curves.redshift[0])


def test_a_plasticc_table_without_times_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text("object_id,passband,flux,flux_err\n1,2,3,4\n")
    with pytest.raises(InputError, match="mjd"):
        read_plasticc(path)


def test_a_generic_table_takes_classes_from_itself_or_a_table_of_objects(tmp_path: Path) -> None:
    path, objects = tmp_path / "x.csv", tmp_path / "objects.csv"
    path.write_text("object_id,mjd,band,mag,mag_err,class\nb,59001,g,19,0.1,TDE\na,59000,r,18,0.1,SN Ia\n")
    assert read_generic(path, Survey.ZTF).label.tolist() == ["TDE", "SN Ia"]
    objects.write_text("object_id,class,redshift\na,SN II,0.1\n")
    curves = read_generic(path, Survey.ZTF, objects=objects)
    assert curves.label.tolist() == ["", "SN II"]
    np.testing.assert_allclose(curves.redshift, [np.nan, 0.1], rtol=1e-6)


def test_our_parquet_is_read_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "s.parquet"
    table = pa.table(
        {
            "object_id": ["a", "b"],
            "class": ["Ia", "TDE"],
            "redshift": [0.1, None],
            "mwebv": [0.02, 0.03],
            "mjd_tai": [[2.0, 1.0], [5.0]],
            "flux_njy": [[20.0, 10.0], [-5.0]],
            "flux_err_njy": [[1.0, 1.0], [2.0]],
            "band": pa.array([[1, 2], [3]], pa.list_(pa.uint8())),
            "kind": pa.array([[0, 0], [1]], pa.list_(pa.uint8())),
        }
    )
    pyarrow.parquet.write_table(table, path)
    curves = read_simulated(path, Survey.ZTF)
    assert curves.rows(0)["flux_njy"].tolist() == [10.0, 20.0]
    assert curves.rows(0)["band"].tolist() == [2, 1]
    assert curves.rows(1)["kind"].tolist() == [1]
    assert np.isnan(curves.redshift[1])


def test_a_parquet_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "s.parquet"
    pyarrow.parquet.write_table(pa.table({"object_id": ["a"]}), path)
    with pytest.raises(InputError, match="class"):
        read_simulated(path, Survey.ZTF)
