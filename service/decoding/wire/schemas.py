"""Writer's schemas: validated, matched to a survey, and looked up by content or id."""

import re
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import fastavro
import orjson
from fastavro.schema import SchemaParseException

from service.core.alerts import Survey
from service.decoding.columns import Layout
from service.decoding.fields import check_layout, declared_columns, find
from service.decoding.surveys import elasticc, lsst, ztf
from service.decoding.wire.avro import Node, Record, parse_schema, to_avro
from service.decoding.wire.shipped import shipped_schema, shipped_versions
from service.errors import RejectedAlertError, RejectionCode, SettingsError

__all__ = ["RegistryLookup", "SchemaStore", "WriterSchema", "schema_id_of_version"]

RegistryLookup = Callable[[int], bytes | None]
"""Returns the JSON of a schema by its id, or None if the registry does not have the id."""

MAX_CACHED = 256
"""Limit on schemas kept by content: the surveys have some twenty; a flood of others must not fill memory."""

UNKNOWN_ID_TTL_S = 60.0
"""How long an id that is not in the registry counts as unknown before the registry is asked again."""

LAYOUTS = (ztf.LAYOUT, lsst.LAYOUT, elasticc.LAYOUT)

RECOGNISED_BY = {
    Survey.ZTF: ("objectId", "candidate.jd"),
    Survey.LSST: ("diaSource.midpointMjdTai",),
    Survey.ELASTICC: ("diaSource.midPointTai",),
}
"""Fields that only this survey's alerts have. Record names are unreliable, because brokers rewrite them."""

# In order of preference. ELAsTiCC's stream used 0.9; no real stream of the other two is known.
BARE_VERSIONS = ("0.9", "0.9.1", "0.9-prerelease")

VERSIONED_NAME = re.compile(r"(?P<survey>lsst|elasticc)\.v(?P<major>\d+)_(?P<minor>\d+)[\w.]*\.alert")


@dataclass(frozen=True, slots=True, eq=False)
class WriterSchema:
    """A schema that alerts can be decoded with; a store has one instance per content.

    Attributes
    ----------
    name
        Name of the alert record, for messages.
    tree
        The validated schema.
    layout
        Fields to read from its alerts.
    declared
        Paths of the layout's ``DECLARED`` columns that the schema has.
    parsed
        The schema in fastavro's parsed form.
    """

    name: str
    tree: Record
    layout: Layout
    declared: frozenset[str]
    parsed: Any

    @property
    def survey(self) -> Survey:
        """Survey of the alerts."""
        return self.layout.survey


def schema_id_of_version(version: str) -> int:
    """Return the id of an LSST schema.

    Parameters
    ----------
    version
        For instance ``11.1``, whose id is 1101.
    """
    major, _, minor = version.partition(".")
    return 100 * int(major) + int(minor)


class SchemaStore:
    """All schemas available to a decoder. Not thread-safe.

    Parameters
    ----------
    schema_dir
        Directory of additional schemas (``.avsc``, complete or one record per file), which take precedence
        over the shipped ones. The id of an LSST schema follows from the name of its record
        (``lsst.v11_1.alert``) or of its file (``1101.avsc``).
    registry
        Asked for ids that are in neither. It may raise `RegistryUnavailableError`, which is passed on.

    Raises
    ------
    SettingsError
        If the directory or a file in it is unusable.
    """

    def __init__(self, schema_dir: Path | None = None, registry: RegistryLookup | None = None) -> None:
        self._registry = registry
        self._by_content: OrderedDict[bytes, WriterSchema | RejectedAlertError] = OrderedDict()
        self._by_id: dict[int, WriterSchema] = {}
        self._unknown_until: dict[int, float] = {}
        shipped = (_shipped("elasticc", version) for version in BARE_VERSIONS)
        self._bare: tuple[WriterSchema, ...] = tuple(shipped)
        if schema_dir is not None:
            self._add_directory(schema_dir)

    @property
    def bare(self) -> tuple[WriterSchema, ...]:
        """ELAsTiCC schemas in the order in which they are tried on bare records."""
        return self._bare

    def by_content(self, text: bytes) -> WriterSchema:
        """Return the schema of a container.

        Parameters
        ----------
        text
            The schema in the container's header, JSON.

        Raises
        ------
        RejectedAlertError
            ``schema`` or ``missing_field`` if alerts cannot be decoded with it.
        """
        outcome = self._by_content.get(text)
        if outcome is None:
            try:
                outcome = writer_schema(text)
            except RejectedAlertError as error:
                outcome = error
            self._by_content[text] = outcome
            while len(self._by_content) > MAX_CACHED:
                self._by_content.popitem(last=False)
        self._by_content.move_to_end(text)
        if isinstance(outcome, RejectedAlertError):
            raise RejectedAlertError(outcome.code, outcome.message)
        return outcome

    def by_id(self, schema_id: int) -> WriterSchema:
        """Return the schema of an id in Confluent framing.

        Parameters
        ----------
        schema_id
            For LSST, 100 * major + minor version.

        Raises
        ------
        RejectedAlertError
            ``unknown_schema`` if there is no schema of this id; else as `by_content`.
        RegistryUnavailableError
            If the registry was asked and did not answer.
        """
        schema = self._by_id.get(schema_id) or _shipped_by_id(schema_id) or self._ask_registry(schema_id)
        if schema is None:
            raise RejectedAlertError(RejectionCode.UNKNOWN_SCHEMA, f"there is no schema with id {schema_id}")
        self._by_id[schema_id] = schema
        return schema

    def _ask_registry(self, schema_id: int) -> WriterSchema | None:
        now = time.monotonic()
        if self._registry is None or self._unknown_until.get(schema_id, now) > now:
            return None
        text = self._registry(schema_id)
        if text is not None:
            return self.by_content(text)
        if len(self._unknown_until) >= MAX_CACHED:
            self._unknown_until.clear()
        self._unknown_until[schema_id] = now + UNKNOWN_ID_TTL_S
        return None

    def _add_directory(self, directory: Path) -> None:
        schemas = _read_directory(directory)
        for path, schema in schemas:
            named = VERSIONED_NAME.fullmatch(schema.name)
            if path.stem.isdecimal():
                self._by_id[int(path.stem)] = schema
            elif named and named["survey"] == "lsst":
                self._by_id[100 * int(named["major"]) + int(named["minor"])] = schema
        additional = tuple(schema for _, schema in schemas if schema.survey is Survey.ELASTICC)
        self._bare = additional + self._bare


def writer_schema(text: bytes) -> WriterSchema:
    """Validate a schema and match it to a survey.

    Parameters
    ----------
    text
        JSON.

    Raises
    ------
    RejectedAlertError
        ``schema`` or ``missing_field``, with the reason.
    """
    return _match_survey(parse_schema(text))


def _match_survey(tree: Node) -> WriterSchema:
    if not isinstance(tree, Record):
        raise RejectedAlertError(RejectionCode.SCHEMA, "the schema is not a record")
    for layout in LAYOUTS:
        if all(find(tree, path) is not None for path in RECOGNISED_BY[layout.survey]):
            check_layout(tree, layout)
            try:
                parsed = fastavro.parse_schema(to_avro(tree), named_schemas={})
            except (SchemaParseException, ValueError) as error:
                raise RejectedAlertError(RejectionCode.SCHEMA, f"the schema is not valid: {error}") from error
            return WriterSchema(tree.name, tree, layout, declared_columns(tree, layout), parsed)
    raise RejectedAlertError(
        RejectionCode.SCHEMA, f"record {tree.name:.100} is not an alert of ZTF, LSST or ELAsTiCC"
    )


def _shipped(survey: str, version: str) -> WriterSchema:
    return writer_schema(orjson.dumps(shipped_schema(survey, version)))


def _shipped_by_id(schema_id: int) -> WriterSchema | None:
    """Return a shipped LSST schema, which is expanded at the first alert that needs it."""
    for version in shipped_versions("lsst"):
        if schema_id_of_version(version) == schema_id:
            return _shipped("lsst", version)
    return None


def _read_directory(directory: Path) -> list[tuple[Path, WriterSchema]]:
    """Read the alert schemas below a directory, assembling those that are spread over several files."""
    if not directory.is_dir():
        raise SettingsError(f"schema directory {directory} is not a directory")
    files: dict[str, tuple[Path, Any]] = {}
    for path in sorted(directory.rglob("*.avsc")):
        try:
            declaration = orjson.loads(path.read_bytes())
        except (OSError, orjson.JSONDecodeError) as error:
            raise SettingsError(f"schema file {path} cannot be read: {error}") from error
        if isinstance(declaration, dict) and isinstance(declaration.get("name"), str):
            files[_full_name(declaration)] = (path, declaration)
    schemas = []
    for name, (path, declaration) in files.items():
        if name.rpartition(".")[2] == "alert" or path.stem.isdecimal():
            whole = _with_references(declaration, {n: d for n, (_, d) in files.items()}, {name})
            try:
                schemas.append((path, writer_schema(orjson.dumps(whole))))
            except RejectedAlertError as error:
                raise SettingsError(f"schema file {path} is unusable: {error.message}") from error
    return schemas


def _full_name(declaration: dict[str, Any]) -> str:
    name, namespace = str(declaration["name"]), declaration.get("namespace")
    return name if "." in name or not namespace else f"{namespace}.{name}"


def _with_references(node: Any, files: dict[str, Any], used: set[str]) -> Any:
    """Replace the first reference to each record of another file by its declaration."""
    if isinstance(node, str):
        if node not in files or node in used:
            return node
        used.add(node)
        return _with_references(files[node], files, used)
    if isinstance(node, list):
        return [_with_references(branch, files, used) for branch in node]
    if not isinstance(node, dict):
        return node
    result = dict(node)
    for key in ("type", "items", "values"):
        if key in result and not (key == "type" and isinstance(result[key], str) and _is_kind(node)):
            result[key] = _with_references(result[key], files, used)
    if isinstance(result.get("fields"), list):
        result["fields"] = [_with_references(entry, files, used) for entry in result["fields"]]
    return result


def _is_kind(declaration: dict[str, Any]) -> bool:
    """Return whether a declaration's ``type`` is a kind of type rather than a reference to a named type."""
    return declaration["type"] in {"record", "error", "enum", "fixed", "array", "map"}
