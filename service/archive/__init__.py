"""Exports of stored objects as Parquet files."""
