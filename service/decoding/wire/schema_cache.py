"""Cache of the schemas seen so far: their numbers, programs, and the message prefixes that identify them."""

from service.decoding.columns import Layout
from service.decoding.compiled_reader import CompiledReader
from service.decoding.vm.program import UnsupportedSchemaError
from service.decoding.wire.prefix_cache import PrefixCache
from service.decoding.wire.schemas import WriterSchema

__all__ = ["WITHOUT_PROGRAM", "SchemaCache"]

WITHOUT_PROGRAM = -1
"""Stands for the program of a schema that cannot be compiled."""


class SchemaCache:
    """Schemas seen so far, identified by consecutive numbers.

    Parameters
    ----------
    layouts
        One per survey.
    compiled
        Whether to compile the schemas.

    Attributes
    ----------
    schemas, programs
        By number: the schema, and the first instruction of its program or `WITHOUT_PROGRAM`.
    readers
        By survey: the reader that runs its programs.
    prefixes
        Message prefixes that identify schemas; its keys are numbers of schemas.
    """

    def __init__(self, layouts: tuple[Layout, ...], *, compiled: bool) -> None:
        self.prefixes = PrefixCache()
        self.readers = {layout.survey: CompiledReader(layout) for layout in layouts}
        self.schemas: list[WriterSchema] = []
        self.programs: list[int] = []
        self._numbers: dict[WriterSchema, int] = {}
        self._compiled = compiled

    def number(self, schema: WriterSchema) -> int:
        """Return the number of a schema, compiling it at first use.

        Parameters
        ----------
        schema
            One instance per content, as `SchemaStore` returns it.
        """
        if schema not in self._numbers:
            self._numbers[schema] = len(self.schemas)
            self.schemas.append(schema)
            self.programs.append(self._program(schema))
        return self._numbers[schema]

    def _program(self, schema: WriterSchema) -> int:
        if not self._compiled:
            return WITHOUT_PROGRAM
        try:
            return self.readers[schema.survey].program(schema)
        except UnsupportedSchemaError:
            return WITHOUT_PROGRAM
