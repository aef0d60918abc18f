"""Classify many light curves at once, going on from stored hidden states wherever that gives the same."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from service.core.alerts import OBSERVATION, Observations
from service.core.features.featuriser import LightCurveSummary, pack
from service.core.models.bundle import Bundle
from service.core.models.calibration import softmax
from service.core.network.inference import StepNetwork
from service.core.network.spec import encode_metadata
from service.core.state.checkpoint import N_STEPS, initial_checkpoints
from service.core.state.object_state import NO_ARCHIVED_ROWS, ArchivedRows, ObjectState

__all__ = ["CheckpointBatch", "ClassifiedBatch", "LightCurveBatch", "ObjectClassifier", "StoredBatch"]


@dataclass(frozen=True, slots=True)
class LightCurveBatch:
    """Light curves of n different objects, and the time as of which each is to be classified.

    Attributes
    ----------
    rows
        `OBSERVATION`, canonical light curves end to end (`service.core.lightcurve.merge`).
    offsets
        int64, shape (n + 1,).
    as_of_mjd_tai
        float64, shape (n,): later rows do not count, though the new hidden state includes them.
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
    """How far n light curves were gone over.

    Attributes
    ----------
    checkpoints
        float64, shape (n, CHECKPOINT_SIZE): `service.core.state.checkpoint`.
    hidden
        float32, shape (n, n_hidden): the network's state there.
    """

    checkpoints: NDArray[np.float64]
    hidden: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class StoredBatch:
    """What was stored of n objects.

    Attributes
    ----------
    rows, offsets
        Their light curves as they were, end to end.
    hidden
        float32, shape (n, n_hidden): the network's state after all steps of those light curves.
    hidden_step
        int64, shape (n,): how many steps that was; 0 where there is no state to go on from.
    unchanged
        int64, shape (n,): the first so many rows are still what they were (`MergedLightCurves`); left out,
        all are compared.
    begun
        Where each was settled: `rows`, here and in the new light curve, are those behind it. Left out,
        they are all.
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
        float32, shape (n, n_classes): the network's output, its softmax, and calibrated. NaN for a light
        curve without a step as of the given time.
    hidden
        float32, shape (n, n_hidden): state after the last step of the whole light curve.
    hidden_step
        int64, shape (n,): how many steps that is.
    steps_run
        int64, shape (n,): steps computed for this.
    summary
        Counts as of the given time.
    """

    logits: NDArray[np.float32]
    raw_probability: NDArray[np.float32]
    probability: NDArray[np.float32]
    hidden: NDArray[np.float32]
    hidden_step: NDArray[np.int64]
    steps_run: NDArray[np.int64]
    summary: LightCurveSummary


class ObjectClassifier:
    """One model at work.

    A stored hidden state is used where the stored light curve's steps are, unchanged, the first steps of
    the new one, and the alert is not older than the last of them; otherwise the light curve is replayed
    from where it was settled, or from its start. Each way gives the same bits.

    Parameters
    ----------
    bundle
        The model.
    """

    def __init__(self, bundle: Bundle) -> None:
        self.bundle = bundle
        self._network = StepNetwork(bundle.network, bundle.weights)

    def warm_up(self) -> None:
        """Compile all that `classify` needs, which takes some seconds where no cache has it."""
        row = np.zeros(1, OBSERVATION)
        row["band"], row["flux_err_njy"] = 1, 1.0
        nothing = np.full(1, np.nan, np.float32)
        batch = LightCurveBatch(row, np.array([0, 1]), np.zeros(1), nothing, nothing)
        self.classify(batch, self.empty_batch(1))

    def empty_batch(self, n: int) -> StoredBatch:
        """Give the stored form of n objects that are not stored."""
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
        """Put stored states into a batch; a hidden state of another model is left out.

        Parameters
        ----------
        states
            Of n objects; one whose settled rows were not read is of this model.
        light_curves
            Their observations end to end and offsets, if they were packed before.
        unchanged
            As in `StoredBatch`.
        """
        rows, offsets = light_curves or pack([state.observations for state in states])
        digest, nothing = self.bundle.digest, self._network.initial_hidden(1)[0]
        fits = [state.model == digest and len(state.hidden) == len(nothing) for state in states]
        hidden = [state.hidden if fit else nothing for state, fit in zip(states, fits, strict=True)]
        steps = [state.hidden_step if fit else 0 for state, fit in zip(states, fits, strict=True)]
        stacked = np.concatenate([nothing[:0], *hidden]).reshape(len(states), len(nothing))
        begun = None
        if not all(state.has_all_rows for state in states):
            begun = self.checkpoint_batch(
                [NO_ARCHIVED_ROWS if one.has_all_rows else one.archived for one in states]
            )
        return StoredBatch(rows, offsets, stacked, np.array(steps, np.int64), unchanged, begun)

    def checkpoint_batch(self, settled: Sequence[ArchivedRows]) -> CheckpointBatch:
        """Give how far light curves were gone over: to the end of their settled rows, if they have some."""
        made = CheckpointBatch(initial_checkpoints(len(settled)), self._network.initial_hidden(len(settled)))
        for place, one in enumerate(settled):
            if one.n_rows:
                made.checkpoints[place], made.hidden[place] = one.checkpoint, one.hidden
        return made

    def advance_checkpoints(
        self, rows: Observations, offsets: NDArray[np.int64], begun: CheckpointBatch
    ) -> CheckpointBatch:
        """Go over rows for good: what follows them can be classified without them.

        Parameters
        ----------
        rows, offsets
            Of n light curves, those that follow `begun`. One that has no trigger by then has none in its
            checkpoint, and must not be settled: it has no steps, which one later row would change.
        begun
            How far each was gone over before.
        """
        nobody = np.zeros(len(offsets), np.int64)
        summary, _ = self.bundle.featuriser.compare(
            rows[:0], nobody, rows, offsets, np.full(len(nobody) - 1, np.inf), checkpoints=begun.checkpoints
        )
        first = begun.checkpoints[:, N_STEPS].astype(np.int64)
        features = self.bundle.featuriser.encode(rows, offsets, first, summary, begun.checkpoints)
        hidden, _ = self._network.replay(features.x, features.offsets, begun.hidden, nobody[:-1])
        checkpoints = self.bundle.featuriser.advance_checkpoints(rows, offsets, begun.checkpoints, summary)
        return CheckpointBatch(checkpoints, hidden)

    def classify(self, batch: LightCurveBatch, stored: StoredBatch) -> ClassifiedBatch:
        """Classify each light curve as of its time and advance its hidden state to its end.

        Parameters
        ----------
        batch
            The light curves as they are now.
        stored
            The same objects as they were stored.
        """
        featuriser = self.bundle.featuriser
        begun = stored.checkpoints or self.checkpoint_batch([NO_ARCHIVED_ROWS] * len(stored.hidden))
        summary, known = featuriser.compare(
            stored.rows,
            stored.offsets,
            batch.rows,
            batch.offsets,
            batch.as_of_mjd_tai,
            stored.unchanged,
            begun.checkpoints,
        )
        goes_on = (known > 0) & (known == stored.hidden_step) & (known <= summary.n_steps_as_of)
        first = np.where(goes_on, known, begun.checkpoints[:, N_STEPS].astype(np.int64))
        features = featuriser.encode(batch.rows, batch.offsets, first, summary, begun.checkpoints)
        start = np.where(goes_on[:, np.newaxis], stored.hidden, begun.hidden)
        asked = summary.n_steps_as_of - first
        hidden, wanted = self._network.replay(features.x, features.offsets, start, asked)
        logits = self._network.outputs(wanted, self._metadata(batch))
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

    def _metadata(self, batch: LightCurveBatch) -> NDArray[np.float32] | None:
        spec = self.bundle.network.metadata
        return None if spec is None else encode_metadata(spec, batch.redshift, batch.mwebv)
