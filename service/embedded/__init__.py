"""A Kafka broker and a Redis server as child processes, for the demo and the tests."""
