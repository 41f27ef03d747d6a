#!/bin/sh
# From a bare checkout to a nameserver that answers dig: installs the packages that are missing,
# builds, and serves the built-in example on loopback until Ctrl-C; or /etc/postern/postern.toml,
# when that is there.
set -eu
cd "$(dirname "$0")/.."
sh packaging/build.sh
if [ -e /etc/postern/postern.toml ]; then
  printf '\n%s\n\n' "Postern serves /etc/postern/postern.toml, which is there, not the example."
fi
exec build/src/postern run
