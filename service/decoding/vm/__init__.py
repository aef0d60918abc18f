"""A virtual machine that reads Avro: the compiler from schemas to programs, and their interpreter."""
