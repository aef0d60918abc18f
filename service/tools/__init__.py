"""What the subcommands do beyond worker and API: audit, replay, reclassification, the demo."""
