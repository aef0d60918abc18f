"""The command that writes objects, each unless another writer changed it: ``compare_and_set.lua``."""

from collections.abc import Callable, Sequence
from hashlib import sha1
from importlib.resources import files

from service.core.ports.store import StateWrite
from service.core.state.layout import has_archived_rows, recent_length, stored_counter
from service.redis.connection import Command
from service.redis.index import summary_key

__all__ = ["CompareAndSet"]

# What the script does with archived rows.
NO_ROWS, KEEP, SET, APPEND, DELETE = "-", "k", "s", "a", "d"

KeyOf = Callable[[str], str]


class CompareAndSet:
    """Builds the commands.

    Parameters
    ----------
    expiry_ms
        Of each value.

    Attributes
    ----------
    script
        To be loaded on every server.
    """

    def __init__(self, expiry_ms: int) -> None:
        self._expiry_ms = expiry_ms
        self.script = (files("service.redis") / "compare_and_set.lua").read_bytes()
        self._sha = sha1(self.script, usedforsecurity=False).hexdigest()

    def command(self, writes: Sequence[StateWrite], state_key: KeyOf, archived_rows_key: KeyOf) -> Command:
        """Return the command that writes some objects; its reply has a 1 for each that was written.

        Parameters
        ----------
        writes
            Either all of them have a summary, or none has.
        state_key, archived_rows_key
            Map an object's key to the Redis keys of its state and of its archived rows.
        """
        keys = [state_key(write.key) for write in writes]
        recents = [_recent_part(write.blob) for write in writes]
        pairs = list(zip(recents, writes, strict=True))
        arguments = [part for recent, write in pairs for part in (recent, stored_counter(write.replaces))]
        if writes[0].summary:
            keys += [summary_key(write.key) for write in writes]
            arguments += [write.summary for write in writes]
        updates = [_archive_update(write, len(recent)) for recent, write in pairs]
        actions = "".join(action for action, _ in updates)
        if actions.strip(NO_ROWS):
            keys += [archived_rows_key(write.key) for write in writes]
            arguments += [rows for action, rows in updates if action in {SET, APPEND}]
        fixed = (self._expiry_ms, len(writes), int(bool(writes[0].summary)), actions)
        return ("EVALSHA", self._sha, len(keys), *keys, *fixed, *arguments)


def _recent_part(blob: bytes) -> bytes:
    return blob[: recent_length(blob)] if has_archived_rows(blob) else blob


def _archive_update(write: StateWrite, n_recent: int) -> tuple[str, bytes]:
    """Return what the script does with an object's archived rows, and the rows that this needs."""
    if not has_archived_rows(write.blob):
        return (DELETE if has_archived_rows(write.replaces) else NO_ROWS), b""
    if len(write.blob) > n_recent:
        return SET, write.blob[n_recent:]
    return (APPEND, write.archived_rows) if write.archived_rows else (KEEP, b"")
