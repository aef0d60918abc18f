"""The work behind the tools of the command line: audit, replay, reclassification, archive, demo."""
