"""SN Ia photometry against sncosmo (extra ``sim-check``), through the same bandpass curves."""

import gzip
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from service.core.alerts import Band, Survey
from training.simulation.environment import Environment
from training.simulation.photometry import ab_magnitude
from training.simulation.sources.supernovae import TypeIa
from training.simulation.survey.instruments import instrument

MAGNITUDE_B = -19.3
FILES = {
    (Survey.ZTF, Band.G): ("ztf_P48_g.dat", 1.0),
    (Survey.ZTF, Band.R): ("ztf_P48_R.dat", 1.0),
    (Survey.LSST, Band.G): ("lsst_total_g.dat.gz", 10.0),
    (Survey.LSST, Band.R): ("lsst_total_r.dat.gz", 10.0),
    (Survey.LSST, Band.I): ("lsst_total_i.dat.gz", 10.0),
    (Survey.LSST, Band.Z): ("lsst_total_z.dat.gz", 10.0),
}


@pytest.fixture(scope="module")
def sncosmo() -> Any:
    return pytest.importorskip(
        "sncosmo", reason="sncosmo is not installed: pip install 'nightjar[sim-check]'"
    )


@pytest.fixture(scope="module")
def salt3(sncosmo: Any, data_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Load SALT3-F22 from the data directory's copy of sncosmo's files."""
    archive = data_dir / "sncosmo_data" / "models" / "salt3" / "salt3-f22.tar.gz"
    if not archive.is_file():
        pytest.skip(f"no SALT3 files in {data_dir}")
    directory = tmp_path_factory.mktemp("salt3")
    with tarfile.open(archive) as files:
        files.extractall(directory, filter="data")
    source = sncosmo.SALT3Source(modeldir=str(directory / "salt3-f22"))
    return sncosmo.Model(source, effects=[sncosmo.F99Dust()], effect_names=["mw"], effect_frames=["obs"])


def reference_bandpass(sncosmo: Any, data_dir: Path, survey: Survey, band: Band) -> Any:
    name, angstrom = FILES[survey, band]
    raw = (data_dir / "bandpasses" / name).read_bytes()
    text = (gzip.decompress(raw) if name.endswith(".gz") else raw).decode()
    rows = [line.split()[:2] for line in text.splitlines() if line.strip() and not line.startswith("#")]
    table = np.array(rows, float)
    return sncosmo.Bandpass(table[:, 0] * angstrom, table[:, 1], name=f"{survey}-{band.name}")


@pytest.mark.parametrize(
    ("survey", "band"), list(FILES), ids=lambda value: str(getattr(value, "name", value))
)
@pytest.mark.parametrize(
    ("redshift", "x1", "c", "mwebv"),
    [(0.02, 0.0, 0.0, 0.0), (0.05, 1.5, 0.15, 0.1), (0.1, -2.0, -0.1, 0.05), (0.4, 0.5, 0.0, 0.02)],
)
def test_supernovae_ia_agree_with_sncosmo_to_0_02_mag(
    sncosmo: Any,
    salt3: Any,
    data_dir: Path,
    survey: Survey,
    band: Band,
    redshift: float,
    x1: float,
    c: float,
    mwebv: float,
) -> None:
    environment = Environment.load(instrument(survey), data_dir)
    arrays = (np.array([value]) for value in (redshift, mwebv, x1, c, MAGNITUDE_B))
    names = ("redshift", "mwebv", "x1", "c", "magnitude_b")
    sources = TypeIa().sources(environment, **dict(zip(names, arrays, strict=True)))
    days = np.arange(-12.0, 45.0) * (1 + redshift)
    position = environment.instrument.bands.index(band)
    ours = ab_magnitude(sources.flux_njy(0, days, position))

    modulus = float(environment.cosmology.distance_modulus(redshift))
    x0 = 10 ** (-0.4 * (MAGNITUDE_B + modulus - 10.5))
    salt3.set(z=redshift, t0=0.0, x0=x0, x1=x1, c=c, mwebv=mwebv)
    theirs = salt3.bandmag(reference_bandpass(sncosmo, data_dir, survey, band), "ab", days)
    bright = theirs < theirs.min() + 4
    assert bright.sum() > 30
    assert np.max(np.abs(ours - theirs)[bright]) < 0.02
