"""Requests, answers and records of the service; needs pydantic only.

The server answers with these models and the client reads with them, so the two cannot disagree. A field that
several schemas share is declared once, in `fields`.
"""
