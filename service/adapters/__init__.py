"""Translation to Kafka, Redis and the schema registry. No decisions are made here."""
