"""Process one alert of each of many objects: merge its rows, classify as of its time, replace the states."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from service.core.abstention import AbstentionPolicy
from service.core.alerts import AlertBatch, Kind, Observations, Survey
from service.core.classification import Classification, ClassificationBatch, Reason
from service.core.classifier import LightCurveBatch, ObjectClassifier
from service.core.features.featuriser import pack
from service.core.lightcurve.merge import MergedLightCurves, days, merge_many, one_per_exposure
from service.core.state.history import packed_entries
from service.core.state.object_state import ObjectState
from service.worker.compaction import compact
from service.worker.object_update import ObjectUpdate

__all__ = ["ObjectUpdater"]


class Context(NamedTuple):
    """What packets say of n objects apart from their light curves; float32, shape (n,), NaN for unknown."""

    redshift: NDArray[np.float32]
    redshift_err: NDArray[np.float32]
    mwebv: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class UpdateResults:
    """What one survey's model made of n merged light curves.

    Attributes
    ----------
    classifications
        One for each alert.
    hidden
        float32, shape (n, n_hidden): the network's state after the whole light curve.
    hidden_step
        Length n: how many steps that is.
    """

    classifications: ClassificationBatch
    hidden: NDArray[np.float32]
    hidden_step: list[int]


class ObjectUpdater:
    """Processes one more alert of each of many objects per call.

    Parameters
    ----------
    classifiers
        The model of each survey; alerts of a survey without one are abstained from.
    policy
        When to abstain.
    history_length
        Classifications kept per object.
    """

    def __init__(
        self,
        classifiers: Mapping[Survey, ObjectClassifier],
        policy: AbstentionPolicy,
        history_length: int,
    ) -> None:
        self._classifiers = classifiers
        self._by_digest = {classifier.bundle.digest: classifier for classifier in classifiers.values()}
        self._policy = policy
        self._history_length = history_length

    def update(
        self, alerts: AlertBatch, index: Sequence[int], updates: Sequence[ObjectUpdate], now_ms: int
    ) -> list[Classification]:
        """Process alert ``index[i]`` of the object ``updates[i]``, whose state is replaced.

        Parameters
        ----------
        alerts
            The batch's alerts.
        index
            Shape (n,), one alert of each object.
        updates
            n different objects.
        now_ms
            Unix time of the classifications.

        Returns
        -------
        list
            Shape (n,).
        """
        results: dict[int, Classification] = {}
        surveys = [alerts.survey[i] for i in index]
        for survey in dict.fromkeys(surveys):
            members = [i for i, alert_survey in enumerate(surveys) if alert_survey is survey]
            chosen = np.array([index[i] for i in members], np.int64)
            made = self._update_survey(survey, alerts, chosen, [updates[i] for i in members], now_ms)
            results.update(zip(members, made, strict=True))
        return [results[i] for i in range(len(index))]

    def changes_light_curve(
        self, alerts: AlertBatch, index: Sequence[int], updates: Sequence[ObjectUpdate]
    ) -> list[bool]:
        """Return for each alert whether it would change the light curve of its object.

        Parameters
        ----------
        alerts, index, updates
            As in `update`.
        """
        changes = []
        for alert, update in zip(index, updates, strict=True):
            stored = update.state.observations
            merged = _merge(alerts.survey[alert], alerts, np.array([alert], np.int64), pack([stored]))
            changes.append(merged.rows.tobytes() != stored.tobytes())
        return changes

    def compact(self, updates: Sequence[ObjectUpdate]) -> None:
        """Archive the oldest rows of long light curves, after the last of their alerts in a batch."""
        for digest, classifier in self._by_digest.items():
            compact(classifier, [update for update in updates if update.state.model == digest])

    def needs_archived_rows(
        self, surveys: Sequence[Survey], states: Sequence[ObjectState], earliest_mjd_tai: NDArray[np.float64]
    ) -> list[bool]:
        """Return for each object whether its alerts can only be processed with its archived rows.

        Parameters
        ----------
        surveys, states
            Of n objects whose archived rows were not read.
        earliest_mjd_tai
            Shape (n,), days: the earliest time of the object's alerts and of the rows that they bring.
        """
        digests = {survey: classifier.bundle.digest for survey, classifier in self._classifiers.items()}
        pairs = zip(surveys, states, strict=True)
        is_other_model = np.array([state.model != digests.get(survey) for survey, state in pairs])
        end_mjd_tai = np.array([state.archived.end_mjd_tai for state in states])
        is_later = (earliest_mjd_tai > end_mjd_tai) & (days(earliest_mjd_tai) > days(end_mjd_tai))
        needed: list[bool] = (is_other_model | ~is_later).tolist()
        return needed

    def _update_survey(
        self,
        survey: Survey,
        alerts: AlertBatch,
        index: NDArray[np.int64],
        updates: Sequence[ObjectUpdate],
        now_ms: int,
    ) -> list[Classification]:
        states = [update.state for update in updates]
        stored = pack([state.observations for state in states])
        merged = _merge(survey, alerts, index, stored)
        context = _context(alerts, index, states)
        classifier = self._classifiers.get(survey)
        if classifier is None:
            results = _without_model(alerts, index, merged, now_ms)
        else:
            known = classifier.stored_batch(states, stored, merged.first_changed)
            light_curves = LightCurveBatch(
                merged.rows, merged.offsets, alerts.mjd_tai[index], context.redshift, context.mwebv
            )
            outcome = classifier.classify(light_curves, known)
            reasons = self._policy.reasons(
                alerts,
                index,
                outcome.summary,
                window_days=classifier.bundle.window_days,
                min_detections=classifier.bundle.min_detections,
            )
            classifications = classifier.classifications(
                outcome, reasons, alerts.alert_id[index], alerts.mjd_tai[index], now_ms
            )
            results = UpdateResults(classifications, outcome.hidden, outcome.hidden_step.tolist())
        self._replace_states(updates, alerts, index, merged, context, results)
        return results.classifications.rows()

    def _replace_states(
        self,
        updates: Sequence[ObjectUpdate],
        alerts: AlertBatch,
        index: NDArray[np.int64],
        merged: MergedLightCurves,
        context: Context,
        results: UpdateResults,
    ) -> None:
        bounds = merged.offsets.tolist()
        positions = zip(
            alerts.ra_deg[index].tolist(),
            alerts.dec_deg[index].tolist(),
            alerts.mjd_tai[index].tolist(),
            strict=True,
        )
        columns = zip(
            updates,
            positions,
            zip(*(values.tolist() for values in context), strict=True),
            results.hidden_step,
            merged.first_changed.tolist(),
            packed_entries(results.classifications),
            strict=True,
        )
        for i, (update, position, (redshift, redshift_err, mwebv), step, first_changed, entry) in enumerate(
            columns
        ):
            old = update.state
            history = old.history
            if not update.is_repeat:
                history = history.with_entry(*entry, limit=self._history_length)
            # A late alert brings rows, but not the object's latest position.
            is_late = position[2] < old.last_alert_mjd_tai
            ra_deg, dec_deg, mjd_tai = (
                (old.ra_deg, old.dec_deg, old.last_alert_mjd_tai) if is_late else position
            )
            state = ObjectState(
                counter=update.counter,
                model=results.classifications.model,
                hidden_step=step,
                hidden=results.hidden[i],
                ra_deg=ra_deg,
                dec_deg=dec_deg,
                last_alert_mjd_tai=mjd_tai,
                redshift=redshift,
                redshift_err=redshift_err,
                mwebv=mwebv,
                observations=merged.rows[bounds[i] : bounds[i + 1]],
                history=history,
                archived=old.archived,
                has_all_rows=old.has_all_rows,
            )
            update.apply(state, first_changed)


def _merge(
    survey: Survey,
    alerts: AlertBatch,
    index: NDArray[np.int64],
    stored: tuple[Observations, NDArray[np.int64]],
) -> MergedLightCurves:
    rule = np.full(len(index), one_per_exposure(survey))
    return merge_many(*stored, *_rows(alerts, index), rule)


def _rows(alerts: AlertBatch, index: NDArray[np.int64]) -> tuple[Observations, NDArray[np.int64]]:
    """Return the rows of some alerts end to end, and their offsets, shape (n + 1,)."""
    starts = alerts.offsets[index]
    lengths = alerts.offsets[index + 1] - starts
    offsets = np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths)])
    source = np.arange(offsets[-1]) + np.repeat(starts - offsets[:-1], lengths)
    return alerts.observations[source], offsets


def _context(alerts: AlertBatch, index: NDArray[np.int64], states: Sequence[ObjectState]) -> Context:
    """Return the context of each alert, completed from what is stored of its object."""
    packet = np.stack([alerts.redshift[index], alerts.redshift_err[index], alerts.mwebv[index]])
    stored = np.array([(state.redshift, state.redshift_err, state.mwebv) for state in states], np.float32).T
    # A redshift and its error belong together: neither is combined with the other of another packet.
    is_given = np.isfinite(packet)
    is_given[1] = is_given[0]
    return Context(*np.where(is_given, packet, stored))


def _without_model(
    alerts: AlertBatch, index: NDArray[np.int64], merged: MergedLightCurves, now_ms: int
) -> UpdateResults:
    """Return abstentions for a survey that has no model: only the rows are counted."""
    n = len(index)
    mjd_tai = alerts.mjd_tai[index]
    is_seen = merged.rows["mjd_tai"] <= np.repeat(mjd_tai, np.diff(merged.offsets))
    is_detected = is_seen & (merged.rows["kind"] == Kind.DETECTION)
    nothing = np.empty((n, 0), np.float32)
    classifications = ClassificationBatch(
        model=0,
        classified_at_ms=now_ms,
        alert_id=alerts.alert_id[index],
        mjd_tai=mjd_tai,
        n_detections=_counts(is_detected, merged.offsets),
        n_observations=_counts(is_seen, merged.offsets),
        reason=np.full(n, int(Reason.NO_MODEL), np.uint8),
        raw_probability=nothing,
        probability=nothing,
    )
    return UpdateResults(classifications, nothing, [0] * n)


def _counts(flags: NDArray[np.bool_], offsets: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the number of True values between each two offsets, shape (n,)."""
    running = np.concatenate([np.zeros(1, np.int64), np.cumsum(flags)])
    return np.diff(running[offsets])
