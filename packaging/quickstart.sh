#!/bin/sh
# From a bare checkout to a nameserver that answers dig: installs the packages that are missing,
# builds, and serves the built-in example on loopback until Ctrl-C.
set -eu
cd "$(dirname "$0")/.."
sh packaging/build.sh
cat <<TEXT

Postern serves its built-in example. In another terminal:

  dig @127.0.0.1 -p 5300 llama.vanillax.me A
  dig @127.0.0.1 -p 5300 llama.vanillax.me HTTPS

Ctrl-C stops it.

TEXT
exec build/src/postern run
