"""Generate light curves: draw, observe, detect, select; in chunks with their own seeds."""

from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import islice, pairwise
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from service.core.alerts import Band, Kind, Survey
from training.simulation.environment import Environment
from training.simulation.light_curves import SimulatedLightCurves, concatenate
from training.simulation.photometry import ab_magnitude
from training.simulation.recipe import SimulationRecipe
from training.simulation.sources.batch import SourceBatch
from training.simulation.sources.dust import draw_milky_way_ebv
from training.simulation.sources.populations import CLASS_NAMES, population_shares, populations
from training.simulation.sources.templates import has_templates
from training.simulation.survey.cadence import load_cadence
from training.simulation.survey.instruments import instrument
from training.simulation.survey.noise import Measurements, host_loss_mag, measure
from training.simulation.survey.visits import Cadence, Visits

__all__ = ["Chunk", "chunks", "generate", "generate_chunk"]

CHUNK_OBJECTS = 200
_MAX_ROUNDS = 400
_DAYS_BEFORE_REFERENCE = 150.0  # a slow source may trigger so long before its peak


@dataclass(frozen=True, slots=True)
class Chunk:
    """A part of a recipe, made by one process.

    Attributes
    ----------
    recipe
        Of the whole sample.
    class_name, population
        The class, and which of its populations.
    first
        Index, within the class, of the first object.
    count
        Number of objects.
    """

    recipe: SimulationRecipe
    class_name: str
    population: int
    first: int
    count: int


def chunks(recipe: SimulationRecipe) -> list[Chunk]:
    """Return the chunks of a recipe in mixed order; they depend on nothing but the recipe.

    Parameters
    ----------
    recipe
        What to simulate.

    Raises
    ------
    ValueError
        A class is unknown.
    """
    result: list[Chunk] = []
    for class_name, total in recipe.counts:
        if class_name not in CLASS_NAMES:
            raise ValueError(f"unknown class {class_name!r}: choose among {', '.join(CLASS_NAMES)}")
        shares = population_shares(class_name, templates=has_templates(recipe.data_dir))
        bounds = np.rint(np.concatenate([[0.0], np.cumsum(shares)]) / sum(shares) * total).astype(int)
        for population, (low, high) in enumerate(pairwise(bounds.tolist())):
            result.extend(
                Chunk(recipe, class_name, population, first, min(CHUNK_OBJECTS, high - first))
                for first in range(low, high, CHUNK_OBJECTS)
            )
    # In mixed order the progress bar's estimate holds, and any part of the file has all classes.
    return [result[i] for i in np.random.default_rng(recipe.seed).permutation(len(result))]


def generate(recipe: SimulationRecipe, processes: int = 1) -> Iterator[SimulatedLightCurves]:
    """Generate the light curves of a recipe, chunk by chunk.

    Parameters
    ----------
    recipe
        What to simulate.
    processes
        Parallel processes; they affect the time, not the result.

    Yields
    ------
    SimulatedLightCurves
        One chunk.

    Raises
    ------
    ValueError
        A class is unknown, or the selection lets (nearly) none of its objects through.
    """
    work = chunks(recipe)
    if processes <= 1:
        yield from map(generate_chunk, work)
        return
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        todo = iter(work)
        # Only a few chunks per process are in flight, so that results do not pile up in memory.
        futures = [pool.submit(generate_chunk, chunk) for chunk in islice(todo, 3 * processes)]
        while futures:
            yield futures.pop(0).result()
            futures.extend(pool.submit(generate_chunk, chunk) for chunk in islice(todo, 1))


def generate_chunk(chunk: Chunk) -> SimulatedLightCurves:
    """Return the light curves of one chunk; a pure function of the chunk.

    Parameters
    ----------
    chunk
        Part of a recipe.

    Raises
    ------
    ValueError
        The selection lets (nearly) none of its objects through.
    """
    recipe = chunk.recipe
    rng = np.random.default_rng(
        [recipe.seed, CLASS_NAMES.index(chunk.class_name), chunk.population, chunk.first]
    )
    environment, cadence = _setting(
        recipe.survey,
        recipe.bands,
        recipe.data_dir,
        recipe.selection.draw_limit_mag(chunk.class_name),
        recipe.selection.days_after,
    )
    parts: list[SimulatedLightCurves] = []
    accepted, tried = 0, 0
    for _ in range(_MAX_ROUNDS):
        passed = max(accepted / tried, 0.05) if tried else 0.4
        attempt = int(np.clip(1.2 * (chunk.count - accepted) / passed, 8, 1000))
        part = _round(rng, environment, cadence, chunk, attempt)
        parts.append(part)
        accepted, tried = accepted + len(part), tried + attempt
        if accepted >= chunk.count:
            name = f"sim-{recipe.survey}-{recipe.seed}-{chunk.class_name.lower()}"
            ids = [f"{name}-{chunk.first + i:06d}" for i in range(chunk.count)]
            return replace(concatenate(parts).take(np.arange(chunk.count)), object_id=tuple(ids))
    raise ValueError(f"the selection lets only {accepted} of {tried} {chunk.class_name} through")


@lru_cache(maxsize=8)
def _setting(
    survey: Survey,
    bands: tuple[Band, ...] | None,
    data_dir: Path | None,
    limit_mag: float | None,
    days_after: float,
) -> tuple[Environment, Cadence]:
    """Load everything that does not depend on chance, once per process."""
    telescope = instrument(survey, bands)
    return Environment.load(telescope, data_dir, limit_mag, days_after), _cadence(survey, bands, data_dir)


@lru_cache(maxsize=2)
def _cadence(survey: Survey, bands: tuple[Band, ...] | None, data_dir: Path | None) -> Cadence:
    """Load the visit lists once, independent of the magnitude limits."""
    return load_cadence(instrument(survey, bands), data_dir)


def _round(
    rng: np.random.Generator, environment: Environment, cadence: Cadence, chunk: Chunk, count: int
) -> SimulatedLightCurves:
    """Draw `count` objects and return those that the survey detects and the selection keeps."""
    selection = chunk.recipe.selection
    ra, dec = cadence.draw_positions(rng, count)
    mwebv = draw_milky_way_ebv(rng, ra, dec)
    population = populations(environment)[chunk.class_name][chunk.population][1]
    batch = population.draw(rng, environment, mwebv)
    reference = rng.uniform(*cadence.span_mjd, count)
    peak_mag = ab_magnitude(batch.peak_flux_njy).min(axis=1)
    bright = np.flatnonzero(peak_mag < environment.limit_mag)
    visits = [
        _visits(rng, environment, cadence, (ra[i], dec[i]), reference[i], selection.days_before)
        for i in bright
    ]
    offsets = np.concatenate([[0], np.cumsum([v.mjd_tai.size for v in visits], dtype=np.int64)])
    if offsets[-1] == 0:
        return SimulatedLightCurves.empty()
    mjd = np.concatenate([v.mjd_tai for v in visits])
    band = np.concatenate([v.band for v in visits])
    loss = host_loss_mag(rng, batch.labels.redshift[bright])
    depth = np.concatenate([v.depth_mag for v in visits]) - np.repeat(loss, np.diff(offsets))
    flux = np.empty(mjd.size)
    for slot, i in enumerate(bright):
        rows = slice(offsets[slot], offsets[slot + 1])
        flux[rows] = _true_flux(batch, int(i), mjd[rows] - reference[i], band[rows], environment)
    measured = measure(rng, environment.instrument, flux, band, depth)
    objects = _assemble(environment.instrument.survey, batch, bright, (ra, dec), offsets, mjd, band, measured)
    return selection.apply(rng, objects, chunk.class_name)


def _visits(
    rng: np.random.Generator,
    environment: Environment,
    cadence: Cadence,
    position_deg: tuple[float, float],
    reference_mjd: float,
    days_before: float,
) -> Visits:
    """Return the visits around an event, without those that failed."""
    start = reference_mjd - _DAYS_BEFORE_REFERENCE - days_before
    visits = cadence.visits(rng, *position_deg, start, reference_mjd + environment.window_days[1])
    keep = rng.random(visits.mjd_tai.size) > environment.instrument.drop_fraction
    return Visits(visits.mjd_tai[keep], visits.band[keep], visits.depth_mag[keep])


def _true_flux(
    batch: SourceBatch,
    index: int,
    days: NDArray[np.float64],
    band: NDArray[np.uint8],
    environment: Environment,
) -> NDArray[np.float64]:
    """Return the true difference flux of one object at its visits, nJy."""
    flux = np.zeros(days.size)
    for position, name in enumerate(environment.instrument.bands):
        rows = band == name
        flux[rows] = batch.flux_njy(index, days[rows], position)
    return flux


def _assemble(
    survey: Survey,
    batch: SourceBatch,
    chosen: NDArray[np.int64],
    position_deg: tuple[NDArray[np.float64], NDArray[np.float64]],
    offsets: NDArray[np.int64],
    mjd: NDArray[np.float64],
    band: NDArray[np.uint8],
    measured: Measurements,
) -> SimulatedLightCurves:
    """Return measurements as rows: detections, forced photometry, upper limits."""
    owner = np.repeat(np.arange(chosen.size), np.diff(offsets))
    detected = measured.detected
    alert = (measured.alert_flux_njy[detected], measured.alert_flux_err_njy[detected])
    blocks = [(np.flatnonzero(detected), Kind.DETECTION, *alert)]
    # LSST's forced photometry of an exposure with a detection repeats it and is dropped on decoding.
    forced = np.arange(mjd.size) if survey is Survey.ZTF else np.flatnonzero(~detected)
    blocks.append((forced, Kind.FORCED, measured.flux_njy[forced], measured.flux_err_njy[forced]))
    if survey is Survey.ZTF:
        limit = np.flatnonzero(~detected)
        blocks.append((limit, Kind.UPPER_LIMIT, np.zeros(limit.size), measured.limit_err_njy[limit]))
    source = np.concatenate([block[0] for block in blocks])
    kind = np.repeat([block[1] for block in blocks], [block[0].size for block in blocks]).astype(np.uint8)
    order = np.lexsort((kind, mjd[source], owner[source]))
    source, kind = source[order], kind[order]
    counts = np.bincount(owner[source], minlength=chosen.size)
    labels = batch.labels
    return SimulatedLightCurves(
        object_id=tuple("" for _ in chosen),
        class_name=tuple(labels.class_name for _ in chosen),
        template=tuple(labels.template[i] for i in chosen),
        redshift=labels.redshift[chosen].astype(np.float32),
        mwebv=labels.mwebv[chosen].astype(np.float32),
        ra_deg=position_deg[0][chosen],
        dec_deg=position_deg[1][chosen],
        trigger_mjd_tai=np.full(chosen.size, np.nan),
        offsets=np.concatenate([[0], np.cumsum(counts)]),
        mjd_tai=mjd[source],
        band=band[source],
        kind=kind,
        flux_njy=np.concatenate([block[2] for block in blocks])[order].astype(np.float32),
        flux_err_njy=np.concatenate([block[3] for block in blocks])[order].astype(np.float32),
    )
