"""Light curves of any kind, for property tests."""

import numpy as np
from hypothesis import strategies as st

from service.core.alerts import OBSERVATION, Observations

__all__ = ["light_curves", "random_light_curve"]


@st.composite
def light_curves(draw: st.DrawFn, max_rows: int = 25, span_days: int = 120) -> Observations:
    """Draw sorted rows of every kind and band, ties in time, negative fluxes and unusable rows included."""
    n = draw(st.integers(0, max_rows))
    rows = np.zeros(n, OBSERVATION)
    # Quarter days, so that equal times occur.
    quarters = draw(st.lists(st.integers(0, 4 * span_days), min_size=n, max_size=n))
    rows["mjd_tai"] = 60000.0 + np.array(quarters, np.float64) / 4
    flux = st.floats(-1e6, 1e6, width=32) | st.sampled_from([0.0, np.nan, 1e30])
    error = st.floats(1.0, 1e5, width=32) | st.sampled_from([0.0, np.nan, 1e-30])
    rows["flux_njy"] = draw(st.lists(flux, min_size=n, max_size=n))
    rows["flux_err_njy"] = draw(st.lists(error, min_size=n, max_size=n))
    rows["band"] = draw(st.lists(st.integers(0, 5), min_size=n, max_size=n))
    rows["kind"] = draw(st.lists(st.integers(0, 2), min_size=n, max_size=n))
    rows["source_id"] = np.arange(n)
    return np.sort(rows, order=["mjd_tai", "kind", "source_id"])


def random_light_curve(generator: np.random.Generator, n_rows: int, bands: tuple[int, ...]) -> Observations:
    """Draw a light curve of detections alone, about one a day."""
    rows = np.zeros(n_rows, OBSERVATION)
    rows["mjd_tai"] = 60000.0 + np.cumsum(generator.exponential(1.0, n_rows))
    rows["flux_njy"] = generator.normal(0.0, 1e4, n_rows)
    rows["flux_err_njy"] = generator.uniform(100.0, 2000.0, n_rows)
    rows["band"] = generator.choice(bands, n_rows)
    rows["source_id"] = generator.permutation(n_rows)
    return rows
