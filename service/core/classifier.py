"""Classify many light curves at once, continuing from stored hidden states wherever that gives the same."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from service.core.alerts import OBSERVATION, Observations, Survey
from service.core.classification import ClassificationBatch
from service.core.features.featuriser import LightCurveSummary, pack
from service.core.models.bundle import Bundle
from service.core.models.calibration import softmax
from service.core.network.inference import StepNetwork
from service.core.network.spec import encode_metadata
from service.core.state.checkpoint import N_STEPS, initial_checkpoints
from service.core.state.object_state import NO_ARCHIVED_ROWS, ArchivedRows, ObjectState

__all__ = [
    "CheckpointBatch",
    "ClassifiedBatch",
    "LightCurveBatch",
    "ObjectClassifier",
    "StoredBatch",
    "classifiers_by_survey",
]


@dataclass(frozen=True, slots=True)
class LightCurveBatch:
    """Light curves of n different objects, and the time at which each is to be classified.

    Attributes
    ----------
    rows
        `OBSERVATION`, canonical light curves (`service.core.lightcurve.merge`), concatenated.
    offsets
        int64, shape (n + 1,).
    as_of_mjd_tai
        float64, shape (n,), days: later rows do not count, though the new hidden state includes them.
    redshift, mwebv
        float32, shape (n,), NaN where not given.
    """

    rows: Observations
    offsets: NDArray[np.int64]
    as_of_mjd_tai: NDArray[np.float64]
    redshift: NDArray[np.float32]
    mwebv: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class CheckpointBatch:
    """What is known of n light curves at some row.

    Attributes
    ----------
    checkpoints
        float64, shape (n, CHECKPOINT_SIZE): `service.core.state.checkpoint`.
    hidden
        float32, shape (n, n_hidden): the network's state at that row.
    """

    checkpoints: NDArray[np.float64]
    hidden: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class StoredBatch:
    """What was stored of n objects.

    Attributes
    ----------
    rows, offsets
        Their light curves as stored, concatenated.
    hidden
        float32, shape (n, n_hidden): the network's state after all steps of those light curves.
    hidden_step
        int64, shape (n,): how many steps that was; 0 where there is no state to continue from.
    unchanged
        int64, shape (n,): number of leading rows that did not change (`MergedLightCurves`); by default all
        rows are compared.
    checkpoints
        After the archived rows of each: `rows`, here and in the new light curve, are the recent ones. By
        default they are all rows.
    """

    rows: Observations
    offsets: NDArray[np.int64]
    hidden: NDArray[np.float32]
    hidden_step: NDArray[np.int64]
    unchanged: NDArray[np.int64] | None = None
    checkpoints: CheckpointBatch | None = None


@dataclass(frozen=True, slots=True)
class ClassifiedBatch:
    """Results for n light curves.

    Attributes
    ----------
    logits, raw_probability, probability
        float32, shape (n, n_classes): the network's output, its softmax, and the calibrated softmax. NaN for
        a light curve without a step at the given time.
    hidden
        float32, shape (n, n_hidden): state after the last step of the whole light curve.
    hidden_step
        int64, shape (n,): how many steps that is.
    steps_run
        int64, shape (n,): steps computed for this.
    summary
        Counts at the given time.
    """

    logits: NDArray[np.float32]
    raw_probability: NDArray[np.float32]
    probability: NDArray[np.float32]
    hidden: NDArray[np.float32]
    hidden_step: NDArray[np.int64]
    steps_run: NDArray[np.int64]
    summary: LightCurveSummary


class ObjectClassifier:
    """A loaded model.

    A stored hidden state is used where the stored light curve's steps are, unchanged, the first steps of
    the new one, and the alert is not older than the last of them; otherwise the light curve is replayed
    from its checkpoint, or from its start. Each way gives the same bits.

    Parameters
    ----------
    bundle
        The model.
    """

    def __init__(self, bundle: Bundle) -> None:
        self.bundle = bundle
        self._network = StepNetwork(bundle.network, bundle.weights)

    def warm_up(self) -> None:
        """Compile all that `classify` needs, which takes some seconds with a cold cache."""
        row = np.zeros(1, OBSERVATION)
        row["band"], row["flux_err_njy"] = 1, 1.0
        nothing = np.full(1, np.nan, np.float32)
        batch = LightCurveBatch(row, np.array([0, 1]), np.zeros(1), nothing, nothing)
        self.classify(batch, self.empty_batch(1))

    def empty_batch(self, n: int) -> StoredBatch:
        """Return the batch of n objects that are not stored.

        Parameters
        ----------
        n
            Number of objects.
        """
        return StoredBatch(
            rows=np.zeros(0, OBSERVATION),
            offsets=np.zeros(n + 1, np.int64),
            hidden=self._network.initial_hidden(n),
            hidden_step=np.zeros(n, np.int64),
        )

    def stored_batch(
        self,
        states: Sequence[ObjectState],
        light_curves: tuple[Observations, NDArray[np.int64]] | None = None,
        unchanged: NDArray[np.int64] | None = None,
    ) -> StoredBatch:
        """Return stored states as a batch; a hidden state of another model is left out.

        Parameters
        ----------
        states
            Of n objects; one whose archived rows were not read is of this model.
        light_curves
            Their observations, concatenated, and offsets, if they were packed before.
        unchanged
            As in `StoredBatch`.
        """
        rows, offsets = light_curves or pack([state.observations for state in states])
        digest, nothing = self.bundle.digest, self._network.initial_hidden(1)[0]
        fits = [state.model == digest and len(state.hidden) == len(nothing) for state in states]
        hidden = [state.hidden if fit else nothing for state, fit in zip(states, fits, strict=True)]
        steps = [state.hidden_step if fit else 0 for state, fit in zip(states, fits, strict=True)]
        stacked = np.concatenate([nothing[:0], *hidden]).reshape(len(states), len(nothing))
        checkpoints = None
        if not all(state.has_all_rows for state in states):
            checkpoints = self.checkpoint_batch(
                [NO_ARCHIVED_ROWS if state.has_all_rows else state.archived for state in states]
            )
        return StoredBatch(rows, offsets, stacked, np.array(steps, np.int64), unchanged, checkpoints)

    def checkpoint_batch(self, archived: Sequence[ArchivedRows]) -> CheckpointBatch:
        """Return the checkpoints after the archived rows of light curves, initial ones without such rows.

        Parameters
        ----------
        archived
            Of n light curves.
        """
        n = len(archived)
        batch = CheckpointBatch(initial_checkpoints(n), self._network.initial_hidden(n))
        for i, rows in enumerate(archived):
            if rows.n_rows:
                batch.checkpoints[i], batch.hidden[i] = rows.checkpoint, rows.hidden
        return batch

    def advance_checkpoints(
        self, rows: Observations, offsets: NDArray[np.int64], start: CheckpointBatch
    ) -> CheckpointBatch:
        """Return checkpoints after some rows, from which later rows can be classified without these.

        Parameters
        ----------
        rows, offsets
            Of n light curves, those that follow `start`. A light curve without a trigger up to there must
            not be archived (its trigger in the new checkpoint is NaN): one later row would change its steps.
        start
            The checkpoints before these rows.
        """
        featuriser = self.bundle.featuriser
        zeros = np.zeros(len(offsets), np.int64)
        as_of_mjd_tai = np.full(len(zeros) - 1, np.inf)
        summary, _ = featuriser.compare(
            rows[:0], zeros, rows, offsets, as_of_mjd_tai, None, start.checkpoints
        )
        first = start.checkpoints[:, N_STEPS].astype(np.int64)
        features = featuriser.encode(rows, offsets, first, summary, start.checkpoints)
        hidden, _ = self._network.replay(features.x, features.offsets, start.hidden, zeros[:-1])
        checkpoints = featuriser.advance_checkpoints(rows, offsets, start.checkpoints, summary)
        return CheckpointBatch(checkpoints, hidden)

    def classify(self, batch: LightCurveBatch, stored: StoredBatch) -> ClassifiedBatch:
        """Classify each light curve at its time and advance its hidden state to its end.

        Parameters
        ----------
        batch
            The light curves as they are now.
        stored
            The same objects as they were stored.
        """
        featuriser = self.bundle.featuriser
        start = stored.checkpoints or self.checkpoint_batch([NO_ARCHIVED_ROWS] * len(stored.hidden))
        summary, n_unchanged = featuriser.compare(
            stored.rows,
            stored.offsets,
            batch.rows,
            batch.offsets,
            batch.as_of_mjd_tai,
            stored.unchanged,
            start.checkpoints,
        )
        continues = (
            (n_unchanged > 0) & (n_unchanged == stored.hidden_step) & (n_unchanged <= summary.n_steps_as_of)
        )
        first = np.where(continues, n_unchanged, start.checkpoints[:, N_STEPS].astype(np.int64))
        features = featuriser.encode(batch.rows, batch.offsets, first, summary, start.checkpoints)
        initial = np.where(continues[:, np.newaxis], stored.hidden, start.hidden)
        hidden, hidden_as_of = self._network.replay(
            features.x, features.offsets, initial, summary.n_steps_as_of - first
        )
        logits = self._network.outputs(hidden_as_of, self._metadata(batch))
        logits[summary.n_steps_as_of == 0] = np.nan
        return ClassifiedBatch(
            logits=logits,
            raw_probability=softmax(logits),
            probability=self.bundle.calibration.apply(logits, summary.n_detections),
            hidden=hidden,
            hidden_step=summary.n_steps,
            steps_run=summary.n_steps - first,
            summary=summary,
        )

    def classifications(
        self,
        outcome: ClassifiedBatch,
        reasons: NDArray[np.uint8],
        alert_id: NDArray[np.uint64],
        mjd_tai: NDArray[np.float64],
        now_ms: int,
    ) -> ClassificationBatch:
        """Return the results of `classify` as those of alerts.

        Parameters
        ----------
        outcome
            Of n light curves.
        reasons
            uint8, shape (n,), `Reason` values: why not to classify, 0 to do so.
        alert_id, mjd_tai
            Shape (n,), the alerts at whose times the light curves were classified.
        now_ms
            Unix time of the classifications.
        """
        return ClassificationBatch(
            model=self.bundle.digest,
            classified_at_ms=now_ms,
            alert_id=alert_id,
            mjd_tai=mjd_tai,
            n_detections=outcome.summary.n_detections,
            n_observations=outcome.summary.n_observations,
            reason=reasons,
            raw_probability=outcome.raw_probability,
            probability=outcome.probability,
        )

    def _metadata(self, batch: LightCurveBatch) -> NDArray[np.float32] | None:
        spec = self.bundle.network.metadata
        return None if spec is None else encode_metadata(spec, batch.redshift, batch.mwebv)


def classifiers_by_survey(bundles: Mapping[Survey, Bundle]) -> dict[Survey, ObjectClassifier]:
    """Return the classifier of each survey that has a model; surveys with the same model share one.

    Parameters
    ----------
    bundles
        Survey to its model.
    """
    by_digest: dict[int, ObjectClassifier] = {}
    for bundle in bundles.values():
        if bundle.digest not in by_digest:
            by_digest[bundle.digest] = ObjectClassifier(bundle)
    return {survey: by_digest[bundle.digest] for survey, bundle in bundles.items()}
