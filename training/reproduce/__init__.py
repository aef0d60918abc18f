"""The two experiments of arXiv 2502.18558, with its method and ours, from nothing to a report."""
