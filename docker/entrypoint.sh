#!/bin/sh
# Copy the kernels compiled at build time to a writable directory, as numba needs, then run the command.
set -eu
if [ -n "${NUMBA_CACHE_DIR:-}" ] && [ -d "${JIT_CACHE:?}" ]; then
    mkdir -p "$NUMBA_CACHE_DIR"
    cp -R "$JIT_CACHE/." "$NUMBA_CACHE_DIR"
fi
exec "$@"
