#!/opt/nightjar/bin/python
"""Exit 0 if a URL answers with success: the health check of an image that has no curl."""

import sys
from http.client import HTTPException
from urllib.request import urlopen

TIMEOUT_S = 5.0

try:
    with urlopen(sys.argv[1], timeout=TIMEOUT_S):  # noqa: S310  the compose file names the URL
        pass
except (OSError, HTTPException) as error:
    sys.exit(f"{sys.argv[1]}: {error}")
