"""Adapters for Kafka and the schema registry. They translate and decide nothing."""
