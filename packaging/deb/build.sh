#!/bin/sh
# Builds the Debian package: build.sh [DIRECTORY], where the .deb is left; without it, build-deb.
#
#   POSTERN_BINARY=FILE   packs this binary instead of building one
set -eu
cd "$(dirname "$0")/../.."
output=${1:-build-deb}
[ -n "${POSTERN_BINARY:-}" ] || sh packaging/install-packages.sh package
mkdir -p "$output"
output=$(cd "$output" && pwd)
rm -f "$output"/postern_*.deb
work=$(mktemp -d "$output/source.XXXXXX")
trap 'rm -rf "$work"' EXIT INT TERM

# The sources as they lie here, without what was built from them; the directory is ours to fill.
tree=$work/postern
mkdir "$tree"
tar -c --exclude='./build*' --exclude=./.git --exclude=./tests . |
  tar -x -C "$tree"
cp -R packaging/deb/debian "$tree/debian"
cd "$tree"
if [ -n "${POSTERN_BINARY:-}" ]; then
  export DEB_BUILD_OPTIONS="${DEB_BUILD_OPTIONS:-} noautodbgsym"
fi
dpkg-buildpackage --build=binary --no-sign
mv ../*.deb "$output"
echo "Made: $(ls "$output"/*.deb)"
