#!/usr/bin/env bash
# Does Postern say that it is ready? No program is needed for that but bash itself.
#   health.sh [PORT]     of server.admin on 127.0.0.1; default: 9153
set -eu
exec 3<>"/dev/tcp/127.0.0.1/${1:-9153}"
printf 'GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n' >&3
read -r -t 2 _ status _ <&3
[ "$status" = 200 ]
