#!/bin/sh
# Builds the Debian package: build.sh [DIRECTORY], where the .deb is left; without it, build-deb.
set -eu
cd "$(dirname "$0")/../.."
output=${1:-build-deb}
sh packaging/install-packages.sh package
mkdir -p "$output"
output=$(cd "$output" && pwd)
rm -f "$output"/postern_*.deb "$output"/postern-dbgsym_*.deb
work=$(mktemp -d "$output/source.XXXXXX")
trap 'rm -rf "$work"' EXIT INT TERM

# The sources as they lie here, without what was built from them; the directory is ours to fill.
tree=$work/postern
mkdir "$tree"
tar -c --exclude='./build*' --exclude=./.git --exclude=./tests . |
  tar -x -C "$tree"
cp -R packaging/deb/debian "$tree/debian"
cd "$tree"
dpkg-buildpackage --build=binary --no-sign
mv ../*.deb "$output"
echo "Made: $(ls "$output"/*.deb)"
