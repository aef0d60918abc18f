"""The command line, ``nightjar``."""
