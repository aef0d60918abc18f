"""``nightjar classify``: classify the light curves of a table."""

from pathlib import Path
from typing import Annotated

import pyarrow.compute as pc
import typer
from rich.console import Console

from service.cli.progress import progress_bar
from service.core.alerts import Survey
from service.core.models.bundle import load_bundle
from service.core.photometry import DETECTION_SIGMA
from service.decoding.light_curve_table import read_light_curve_table
from service.tools.classify import check_output, check_survey, classify_table, write_table
from service.wiring.models import shipped_model

__all__ = ["classify"]


def classify(
    file: Annotated[
        Path,
        typer.Argument(
            help="CSV (.csv, .csv.gz) or Parquet with one row per observation: object_id, mjd or mjd_tai, "
            "band, and flux_njy, flux_err_njy or mag, mag_err; optional redshift, mwebv, limiting_mag in "
            "rows without mag, and detected (0 or 1) or kind (detection, forced, upper_limit)."
        ),
    ],
    survey: Annotated[Survey, typer.Option(help="Survey whose bands and depth the light curves have.")],
    output: Annotated[Path, typer.Option(help="CSV or Parquet, by suffix; one row per object.")],
    model: Annotated[
        str, typer.Option(help="Bundle directory or name of a shipped model; by default the survey's.")
    ] = "",
    at_detections: Annotated[
        int, typer.Option(min=0, help="Cut each light curve after its N-th detection; 0 to use all of it.")
    ] = 0,
    utc: Annotated[
        bool, typer.Option("--utc", help="Times are UTC; by default they are TAI, 37 s ahead of it.")
    ] = False,
    detection_snr: Annotated[
        float,
        typer.Option(
            min=0.0, help="Signal-to-noise ratio from which a flux is a detection, without detected or kind."
        ),
    ] = DETECTION_SIGMA,
    raw: Annotated[
        bool, typer.Option("--raw", help="Write the network's probabilities before calibration.")
    ] = False,
) -> None:
    """Classify the light curves of a table.

    Writes object_id, n_observations, n_detections, status (classified or abstained), reason and one column
    probability_CLASS per class; with --raw, raw_probability_CLASS.
    """
    check_output(output)
    bundle = load_bundle(model or shipped_model(survey))
    check_survey(bundle, survey)
    curves = read_light_curve_table(file, utc=utc, detection_snr=detection_snr)
    with progress_bar(Console(stderr=True), "classifying", len(curves.object_id)) as advance:
        table = classify_table(curves, bundle, at_detections=at_detections, raw=raw, advance=advance)
    write_table(table, output)
    n_classified = pc.sum(pc.equal(table["status"], "classified")).as_py() or 0
    typer.echo(f"{output}: {n_classified} of {table.num_rows} objects classified", err=True)
