"""One alert of each of many objects: merge its rows, classify as of its time, give the new states."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from service.core.abstention import AbstentionPolicy
from service.core.alerts import AlertBatch, Kind, Observations, Survey
from service.core.classification import Classification, Reason
from service.core.classifier import ClassifiedBatch, LightCurveBatch, ObjectClassifier, StoredBatch
from service.core.features.featuriser import pack
from service.core.lightcurve.merge import MergedLightCurves, days, merge_many, one_per_exposure
from service.core.state.history import packed_entries
from service.core.state.object_state import ObjectState
from service.worker.compaction import compact
from service.worker.models import ModelShelf
from service.worker.object_update import ObjectUpdate

__all__ = ["ObjectUpdater"]

NO_PROBABILITIES = np.empty(0, np.float32)


@dataclass(frozen=True, slots=True)
class UpdateResults:
    """What comes of n merged light curves; arrays of shape (n,) and (n, ...)."""

    reasons: list[int]
    n_detections: list[int]
    n_observations: list[int]
    model: int
    raw_probability: NDArray[np.float32]
    probability: NDArray[np.float32]
    hidden: NDArray[np.float32]
    hidden_step: list[int]


class ObjectUpdater:
    """Takes objects one alert further, many objects per call.

    Parameters
    ----------
    models
        Model of each survey.
    policy
        When to abstain.
    history_length
        Classifications kept per object.
    """

    def __init__(self, models: ModelShelf, policy: AbstentionPolicy, history_length: int) -> None:
        self._models = models
        self._policy = policy
        self._history_length = history_length

    def update(
        self, alerts: AlertBatch, index: Sequence[int], objects: Sequence[ObjectUpdate], now_ms: int
    ) -> list[Classification]:
        """Process alert ``index[i]`` of object ``objects[i]``, whose state is replaced.

        Parameters
        ----------
        alerts
            Where the alerts are.
        index
            Shape (n,), one alert of each object.
        objects
            n different objects.
        now_ms
            Unix time of the classifications.
        """
        results: dict[int, Classification] = {}
        surveys = [alerts.survey[i] for i in index]
        for survey in dict.fromkeys(surveys):
            members = [place for place, one in enumerate(surveys) if one is survey]
            chosen = np.array([index[place] for place in members], np.int64)
            group = [objects[place] for place in members]
            made = self._advance(survey, alerts, chosen, group, now_ms)
            results.update(zip(members, made, strict=True))
        return [results[place] for place in range(len(index))]

    def changes_light_curve(
        self, alerts: AlertBatch, index: Sequence[int], objects: Sequence[ObjectUpdate]
    ) -> list[bool]:
        """Say which alerts would change the light curve of their object.

        Parameters
        ----------
        alerts, index, objects
            As in `update`.
        """
        news = []
        for place, one in zip(index, objects, strict=True):
            chosen = np.array([place], np.int64)
            merged = _merge(alerts.survey[place], alerts, chosen, pack([one.state.observations]))
            news.append(merged.rows.tobytes() != one.state.observations.tobytes())
        return news

    def compact(self, objects: Sequence[ObjectUpdate]) -> None:
        """Settle what objects have too many rows of, after the last of their alerts in a batch."""
        at_work = {one.bundle.digest: one for one in self._models.at_work.values()}
        for digest, classifier in at_work.items():
            compact(classifier, [one for one in objects if one.state.model == digest])

    def needs_archived_rows(
        self, surveys: Sequence[Survey], states: Sequence[ObjectState], earliest_mjd_tai: NDArray[np.float64]
    ) -> list[bool]:
        """Say which objects' alerts cannot be processed without the settled rows.

        Parameters
        ----------
        surveys, states
            Of n objects, of which the settled rows were not read.
        earliest_mjd_tai
            Shape (n,), of each object's alerts and of the rows that they bring.
        """
        digests = {survey: one.bundle.digest for survey, one in self._models.at_work.items()}
        columns = zip(surveys, states, strict=True)
        is_other = np.array([state.model != digests.get(survey) for survey, state in columns])
        end_mjd_tai = np.array([state.archived.end_mjd_tai for state in states])
        is_later = (earliest_mjd_tai > end_mjd_tai) & (days(earliest_mjd_tai) > days(end_mjd_tai))
        reaching: list[bool] = (is_other | ~is_later).tolist()
        return reaching

    def _advance(
        self,
        survey: Survey,
        alerts: AlertBatch,
        index: NDArray[np.int64],
        objects: Sequence[ObjectUpdate],
        now_ms: int,
    ) -> list[Classification]:
        """Do the same for objects of one survey."""
        states = [one.state for one in objects]
        stored = pack([state.observations for state in states])
        merged = _merge(survey, alerts, index, stored)
        context = _context(alerts, index, states)
        classifier = self._models.at_work.get(survey)
        if classifier is None:
            verdicts = _no_model(merged, alerts.mjd_tai[index])
        else:
            known = classifier.stored_batch(states, stored, merged.first_changed)
            verdicts = self._classify(classifier, alerts, index, known, merged, context)
        entries = _entries(alerts, index, verdicts, now_ms)
        self._replace_states(objects, alerts, index, merged, context, verdicts, entries)
        return _classifications(alerts, index, verdicts, now_ms)

    def _classify(
        self,
        classifier: ObjectClassifier,
        alerts: AlertBatch,
        index: NDArray[np.int64],
        known: StoredBatch,
        merged: MergedLightCurves,
        context: NDArray[np.float32],
    ) -> UpdateResults:
        batch = LightCurveBatch(merged.rows, merged.offsets, alerts.mjd_tai[index], context[0], context[2])
        outcome: ClassifiedBatch = classifier.classify(batch, known)
        reasons = self._policy.reasons(
            alerts,
            index,
            outcome.summary,
            window_days=classifier.bundle.window_days,
            min_detections=classifier.bundle.min_detections,
        )
        return UpdateResults(
            reasons=reasons.tolist(),
            n_detections=outcome.summary.n_detections.tolist(),
            n_observations=outcome.summary.n_observations.tolist(),
            model=classifier.bundle.digest,
            raw_probability=outcome.raw_probability,
            probability=outcome.probability,
            hidden=outcome.hidden,
            hidden_step=outcome.hidden_step.tolist(),
        )

    def _replace_states(
        self,
        objects: Sequence[ObjectUpdate],
        alerts: AlertBatch,
        index: NDArray[np.int64],
        merged: MergedLightCurves,
        context: NDArray[np.float32],
        verdicts: UpdateResults,
        entries: Sequence[tuple[bytes, int]],
    ) -> None:
        bounds = merged.offsets.tolist()
        positions = zip(
            alerts.ra_deg[index].tolist(),
            alerts.dec_deg[index].tolist(),
            alerts.mjd_tai[index].tolist(),
            strict=True,
        )
        steps = zip(verdicts.hidden_step, merged.first_changed.tolist(), strict=True)
        columns = zip(objects, positions, context.T.tolist(), steps, entries, strict=True)
        for place, (one, position, brought, (step, first_changed), entry) in enumerate(columns):
            redshift, redshift_err, mwebv = brought
            old = one.state
            # An alert that comes late brings rows, but does not say where the object was seen last.
            is_late = position[2] < old.last_alert_mjd_tai
            ra_deg, dec_deg, mjd_tai = (
                (old.ra_deg, old.dec_deg, old.last_alert_mjd_tai) if is_late else position
            )
            state = ObjectState(
                counter=one.counter,
                model=verdicts.model,
                hidden_step=step,
                hidden=verdicts.hidden[place],
                ra_deg=ra_deg,
                dec_deg=dec_deg,
                last_alert_mjd_tai=mjd_tai,
                redshift=redshift,
                redshift_err=redshift_err,
                mwebv=mwebv,
                observations=merged.rows[bounds[place] : bounds[place + 1]],
                history=old.history
                if one.is_repeat
                else old.history.with_entry(*entry, limit=self._history_length),
                archived=old.archived,
                has_all_rows=old.has_all_rows,
            )
            one.apply(state, first_changed)


def _merge(
    survey: Survey,
    alerts: AlertBatch,
    index: NDArray[np.int64],
    stored: tuple[Observations, NDArray[np.int64]],
) -> MergedLightCurves:
    rule = np.full(len(index), one_per_exposure(survey))
    return merge_many(*stored, *_rows(alerts, index), rule)


def _rows(alerts: AlertBatch, index: NDArray[np.int64]) -> tuple[Observations, NDArray[np.int64]]:
    """Put the rows of some alerts end to end."""
    starts = alerts.offsets[index]
    lengths = alerts.offsets[index + 1] - starts
    offsets = np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths)])
    source = np.arange(offsets[-1]) + np.repeat(starts - offsets[:-1], lengths)
    return alerts.observations[source], offsets


def _context(
    alerts: AlertBatch, index: NDArray[np.int64], states: Sequence[ObjectState]
) -> NDArray[np.float32]:
    """Give redshift, its error and E(B-V), the alert's own before what is stored; float32, shape (3, n)."""
    own = np.stack([alerts.redshift[index], alerts.redshift_err[index], alerts.mwebv[index]])
    stored = np.array([(one.redshift, one.redshift_err, one.mwebv) for one in states], np.float32).T
    # A redshift and its error belong together: neither is combined with the other of another packet.
    given = np.isfinite(own)
    given[1] = given[0]
    return np.where(given, own, stored)


def _no_model(merged: MergedLightCurves, as_of_mjd_tai: NDArray[np.float64]) -> UpdateResults:
    """Count rows, and nothing else."""
    n = len(as_of_mjd_tai)
    seen = merged.rows["mjd_tai"] <= np.repeat(as_of_mjd_tai, np.diff(merged.offsets))
    detected = seen & (merged.rows["kind"] == Kind.DETECTION)
    return UpdateResults(
        reasons=[int(Reason.NO_MODEL)] * n,
        n_detections=_counts(detected, merged.offsets),
        n_observations=_counts(seen, merged.offsets),
        model=0,
        raw_probability=np.empty((n, 0), np.float32),
        probability=np.empty((n, 0), np.float32),
        hidden=np.empty((n, 0), np.float32),
        hidden_step=[0] * n,
    )


def _counts(flags: NDArray[np.bool_], offsets: NDArray[np.int64]) -> list[int]:
    running = np.concatenate([np.zeros(1, np.int64), np.cumsum(flags)])
    counts: list[int] = np.diff(running[offsets]).tolist()
    return counts


def _entries(
    alerts: AlertBatch, index: NDArray[np.int64], verdicts: UpdateResults, now_ms: int
) -> list[tuple[bytes, int]]:
    """Give the results as histories keep them."""
    columns: dict[str, ArrayLike] = {
        "alert_id": alerts.alert_id[index],
        "mjd_tai": alerts.mjd_tai[index],
        "classified_at_ms": now_ms,
        "model": verdicts.model,
        "n_detections": verdicts.n_detections,
        "n_observations": verdicts.n_observations,
        "reason": verdicts.reasons,
    }
    return packed_entries(columns, verdicts.raw_probability, verdicts.probability)


def _classifications(
    alerts: AlertBatch, index: NDArray[np.int64], verdicts: UpdateResults, now_ms: int
) -> list[Classification]:
    columns = zip(
        alerts.alert_id[index].tolist(),
        alerts.mjd_tai[index].tolist(),
        verdicts.n_detections,
        verdicts.n_observations,
        verdicts.reasons,
        strict=True,
    )
    return [
        Classification(
            alert_id=alert_id,
            mjd_tai=mjd_tai,
            classified_at_ms=now_ms,
            n_detections=n_detections,
            n_observations=n_observations,
            reason=Reason(reason),
            model=verdicts.model,
            raw_probability=NO_PROBABILITIES if reason else verdicts.raw_probability[place],
            probability=NO_PROBABILITIES if reason else verdicts.probability[place],
        )
        for place, (alert_id, mjd_tai, n_detections, n_observations, reason) in enumerate(columns)
    ]
