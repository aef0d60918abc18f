"""Protocols of what surrounds the core: the object store, the message streams, the result feed."""
