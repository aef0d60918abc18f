"""The compiler from Avro schemas to programs, and the compiled interpreter that runs them."""
