"""Adapters for Redis and Redis Cluster. They translate and decide nothing."""
