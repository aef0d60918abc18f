"""One script a stage of ``nightjar-train``: configuration, data, model, loop, result."""
