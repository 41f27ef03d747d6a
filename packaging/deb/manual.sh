#!/bin/sh
# Manual pages and shell completions for the package: manual.sh ROOT, with usr/bin/postern in it.
set -eu
root=$1
pages=$(find docs packaging -name '*.[158]' | sort)
for page in $pages; do
  install -D -m 644 "$page" "$root/usr/share/man/man${page##*.}/$(basename "$page")"
done
[ -z "$pages" ] || exit 0

target=$root/usr/share/man/man1/postern.1
mkdir -p "$(dirname "$target")"
{
  echo '.TH POSTERN 1'
  echo '.SH NAME'
  echo 'postern \- nameserver and HTTPS gateway of a home network'
  echo '.SH DESCRIPTION'
  echo '.nf'
  "$root/usr/bin/postern" --help | sed 's/\\/\\\\/g; s/-/\\-/g; s/^\./\\\&./'
  echo '.fi'
  echo '.SH SEE ALSO'
  echo '/usr/share/doc/postern/'
} >"$target"
