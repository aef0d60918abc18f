#!/bin/sh
# Put the kernels compiled at the build where numba may write beside them, then become the command.
set -eu
if [ -n "${NUMBA_CACHE_DIR:-}" ] && [ -d "${JIT_CACHE:?}" ]; then
    mkdir -p "$NUMBA_CACHE_DIR"
    cp -R "$JIT_CACHE/." "$NUMBA_CACHE_DIR"
fi
exec "$@"
