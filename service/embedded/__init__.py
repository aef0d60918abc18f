"""A broker and a Redis started by us, for the demo and the tests."""
