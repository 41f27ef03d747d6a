#!/bin/sh
# Manual pages and shell completions for the package: manual.sh ROOT, with usr/bin/postern in it, which
# knows them. The same as `meson install` leaves, for a binary that was built elsewhere.
set -eu
root=$1

# page PART FILE
page() {
  mkdir -p "$root/usr/share/$(dirname "$2")"
  "$root/usr/bin/postern" reference "$1" >"$root/usr/share/$2"
}

page postern.1 man/man1/postern.1
page postern.toml.5 man/man5/postern.toml.5
page bash bash-completion/completions/postern
page zsh zsh/vendor-completions/_postern
page fish fish/vendor_completions.d/postern.fish
