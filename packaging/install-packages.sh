#!/bin/sh
# Installs the Debian 12 packages that are missing: `install-packages.sh build` for what building
# needs, `... package` for a Debian package, `... test` for what the tests need on top. Does nothing when all are there.
set -eu

build="g++ meson ninja-build pkgconf libuv1-dev libssl-dev libnghttp2-dev libldns-dev libfmt-dev libexpected-dev
  libcli11-dev libre2-dev libtomlplusplus-dev nlohmann-json3-dev prometheus-cpp-dev libfstrm-dev
  libprotobuf-c-dev protobuf-c-compiler bind9-dnsutils
  ca-certificates curl openssl"
test="doctest-dev clang-14 libclang-rt-14-dev llvm-14 clang-tidy-14 clang-format-14 python3
  python3-cryptography python3-dnspython python3-jsonschema python3-yaml bind9-dnsutils bind9-utils knot-dnsutils ldnsutils nsd knot procps
  python3-h11 nginx-light haproxy nghttp2-client sslscan python3-h2 python3-hpack python3-hyperframe
  python3-websockets postgresql postgresql-client chromium firefox-esr caddy faketime nftables libnss3-tools
  iproute2 prometheus systemd dnsperf strace debhelper dpkg-dev build-essential lintian dnsmasq-base
  keepalived kea-dhcp4-server mandoc python3-kubernetes zsh fish shellcheck dnstap-ldns fstrm-bin"
# Node.js that is here from elsewhere does as well, and Debian's would not go beside it.
command -v node >/dev/null || test="$test nodejs"
command -v npm >/dev/null || test="$test npm"

case "${1:-}" in
  build) wanted=$build ;;
  package) wanted="$build debhelper dpkg-dev build-essential" ;;
  test) wanted="$build $test" ;;
  *) echo "usage: $0 build|package|test" >&2; exit 2 ;;
esac

missing=
for package in $wanted; do
  status=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null) || status=none
  [ "$status" = installed ] || missing="$missing $package"
done
[ -n "$missing" ] || exit 0

echo "Installing:$missing"
as_root=
if [ "$(id -u)" != 0 ]; then
  if ! command -v sudo >/dev/null; then
    echo "These packages are missing, and installing them takes root. As root, run:" >&2
    echo "  apt-get update && apt-get install --no-install-recommends$missing" >&2
    exit 1
  fi
  as_root=sudo
fi

# The servers that the tests compare with are not to run as services of this machine.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
  trap '$as_root rm -f "$policy"' EXIT INT TERM
  printf '#!/bin/sh\nexit 101\n' | $as_root tee "$policy" >/dev/null
  $as_root chmod 755 "$policy"
fi

install_missing() {
  # shellcheck disable=SC2086 # words on purpose
  $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends $missing
}
ls /var/lib/apt/lists/*_Packages* >/dev/null 2>&1 || $as_root apt-get update -q
install_missing || { $as_root apt-get update -q && install_missing; }
