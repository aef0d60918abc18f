"""Message framing, Avro schemas, and the caches of schemas and message prefixes."""
