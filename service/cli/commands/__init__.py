"""The subcommands of ``nightjar``, one module each."""
