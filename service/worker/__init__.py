"""The worker: its poll-process-commit loop and the processing of one batch."""
