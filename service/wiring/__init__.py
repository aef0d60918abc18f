"""From settings to working parts: the only place that builds adapters."""
