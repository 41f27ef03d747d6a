#!/bin/sh
# Writes docs/reference/*.md anew from what the program says of itself.
#   packaging/reference.sh [BINARY]     default: build/src/postern
set -eu
cd "$(dirname "$0")/.."
binary=$(realpath "${1:-build/src/postern}")
cd tests/e2e
POSTERN=$binary exec /usr/bin/python3 reference_test.py --write
