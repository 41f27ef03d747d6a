#!/bin/sh
# Installs what building needs and leaves the release binary at build/src/postern.
set -eu
cd "$(dirname "$0")/.."
sh packaging/install-packages.sh build
[ -f build/build.ninja ] || meson setup build --buildtype=release -Db_lto=true -Dtests=false
ninja -C build src/postern
