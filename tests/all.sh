#!/bin/sh
# Every test there is, in the order in which a mistake shows soonest. Stops at the first step that
# fails and shows the end of its log. The last line counts test cases and checks.
#
#   FUZZ_SECONDS=6    how long each fuzzer runs
#   ANALYZER_NODES=225000   how deep clang-tidy looks (default 20000)
#   JOBS=2            compilers at a time; default: the processors of this machine
#   tests/all.sh STEP...   only these steps (names as printed; clang-tidy-tests runs only so)
set -u
cd "$(dirname "$0")/.."
FUZZ_SECONDS=${FUZZ_SECONDS:-6}
JOBS=${JOBS:-$(nproc)}
logs=build-logs
mkdir -p "$logs"
passed=0
failed=0
only="$*"
exec 3>&1

# Adds up what a log says of test cases; a log that speaks of none is one check.
count() {
  sed 's/\x1b\[[0-9;]*m//g' "$1" | awk '
    /^\[doctest\] test cases:/ { split($0, f, "|"); p += f[2] + 0; n += f[3] + f[4]; seen = 1 }
    /^[0-9]+ passed, [0-9]+ failed$/ { p += $1; n += $3; seen = 1 }
    END { if (seen) print p + 0, n + 0; else print "1 0" }'
}

finish() {
  echo "$passed passed, $failed failed"
  [ "$failed" = 0 ] || exit 1
  exit 0
}

# step NAME COMMAND...
step() {
  name=$1
  shift
  case " $only " in "  " | *" $name "*) ;; *) return ;; esac
  log=$logs/$name.log
  began=$(date +%s)
  printf '%-16s ' "$name"
  if "$@" >"$log" 2>&1; then status=0; else status=$?; fi
  seconds=$(($(date +%s) - began))
  # shellcheck disable=SC2046 # two words
  set -- $(count "$log")
  passed=$((passed + $1))
  failed=$((failed + $2))
  if [ "$status" = 0 ] && [ "$2" = 0 ]; then
    printf '%5d passed  %4d s\n' "$1" "$seconds"
    return
  fi
  [ "$2" != 0 ] || { failed=$((failed + 1)); [ "$1 $2" != "1 0" ] || passed=$((passed - 1)); }
  printf 'FAILED after %d s, exit status %d; the end of %s:\n\n' "$seconds" "$status" "$log"
  tail -n "${LOG_LINES:-60}" "$log"
  printf '\nFailed: %s. Alone: sh tests/all.sh %s\n' "$name" "$name"
  finish
}

sources() { find src tests -name '*.cpp' -o -name '*.h' | sort; }

check_format() { sources | xargs clang-format-14 --dry-run -Werror; }

check_includes() {
  (cd tests/tidy && /usr/bin/python3 includes_test.py) && /usr/bin/python3 tests/tidy/includes.py
}

check_python() { /usr/bin/python3 -m py_compile $(find tests -name '*.py'); }

check_shell() {
  find . -path './build*' -prune -o -name '*.sh' -print | while read -r file; do
    sh -n "$file" || exit 1
  done
}

# build DIRECTORY "TARGET..." MESON-OPTIONS...
build() {
  directory=$1 targets=$2
  shift 2
  [ -f "$directory/build.ninja" ] || meson setup "$directory" -Dwerror=true "$@" || return
  # shellcheck disable=SC2086 # words on purpose
  ninja -C "$directory" -j "$JOBS" $targets
}

# Line numbers are all that the sanitizers tell of debug information, and half of it to write.
# With the fuzzers, which need the same code with the same checks.
build_asan() {
  CC=clang-14 CXX=clang++-14 build build-asan all --buildtype=debug -Doptimization=1 -Ddebug=false -Dcpp_args=-g1 -Dfuzz=true \
    -Db_lundef=false -Db_sanitize=address,undefined
}

# What has threads; codecs, zones and routes have none.
build_tsan() {
  tests=
  for folder in base net nameserver server; do
    tests="$tests tests/unit/$folder/unit_$folder"
  done
  CC=clang-14 CXX=clang++-14 build build-tsan "src/postern $tests" --buildtype=debug -Doptimization=1 -Ddebug=false \
    -Dcpp_args=-g1 -Db_sanitize=thread \
    -Db_lundef=false
}

# The first command of the README: it builds the release and serves the example until it is ended.
# What g++ warns of is a mistake here, too; users of a later one are not kept from building.
quickstart() {
  where="-p 5300 @127.0.0.1"
  if dig $where . SOA +time=1 +tries=1 >/dev/null; then echo "port 5300 is taken"; return 1; fi
  sh packaging/quickstart.sh &
  pid=$!
  until dig $where llama.vanillax.me A +short +time=1 +tries=1 | grep -qx 192.168.10.50; do
    kill -0 "$pid" 2>/dev/null || return 1
    sleep 1
  done
  wrong=0
  dig $where llama.vanillax.me AAAA | grep -q 'ANSWER: 0, AUTHORITY: 1' || wrong=1
  kdig $where llama.vanillax.me HTTPS | grep -q 'ANSWER: 0; AUTHORITY: 1' || wrong=1
  drill $where nas.home.arpa A | grep -q '192\.168\.10\.20' || wrong=1
  authority="${XDG_STATE_HOME:-$HOME/.local/state}/postern/example/ca.crt"
  curl -sS --http2 --cacert "$authority" --connect-to ::127.0.0.1:8443 https://hello.vanillax.me/ |
    grep -q 'Hello from Postern' || wrong=1
  kill "$pid" && wait "$pid" || return 1
  # The compiler's, of which there are to be none.
  if lines=$(grep 'warning: ' "$log"); then
    printf 'these are warnings:\n%s\n' "$lines"
    return 1
  fi
  return "$wrong"
}

export ASAN_OPTIONS=detect_stack_use_after_return=1:strict_string_checks=1:quarantine_size_mb=64:check_initialization_order=1
export UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1
export TSAN_OPTIONS=halt_on_error=1:second_deadlock_stack=1

# Side by side: most of the time they wait.
unit() {
  tests=$(find "$1/tests/unit" -type f -name "unit_*" -perm -u+x | sort)
  [ -n "$tests" ] || { echo "no unit tests in $1"; return 1; }
  pids=
  for test in $tests; do
    "$test" >"$test.log" 2>&1 &
    pids="$pids $!"
  done
  status=0
  for pid in $pids; do wait "$pid" || status=1; done
  for test in $tests; do
    echo "== $test"
    cat "$test.log"
  done
  return "$status"
}

e2e() {
  directory=$1
  shift
  /usr/bin/python3 tests/e2e/run.py "$directory/src/postern" "$@"
  status=$?
  grep '^[A-Z]* TESTS DID NOT RUN' "$log" >&3
  return "$status"
}

# Where browsers cannot be tested, that is said on the terminal, not only in the log.
browser() {
  /usr/bin/python3 tests/e2e/browser/run.py "$1/src/postern"
  status=$?
  grep '^BROWSER TESTS DID NOT RUN' "$logs/browser.log" >&3
  return "$status"
}

# The database without the flags that only sanitizers need; -quiet keeps the log to findings. What
# strangers' bytes reach is analyzed as well, which takes a third of the time; a function is given up
# after ANALYZER_NODES states: the analyzer's own limit, 225000, takes long for the same findings.
clang_tidy() {
  near='/src/(main|server/.*|cli/.*)\.cpp' far='/src/(base|net|dns|http|nameserver|gateway)/.*\.cpp'
  [ "$1" = src ] || near='/tests/unit/.*\.cpp' far=
  tidy -checks='-clang-analyzer-*' "$PWD$near" || return
  [ -z "$far" ] || tidy -extra-arg=-Xclang -extra-arg=-analyzer-config -extra-arg=-Xclang \
    -extra-arg="max-nodes=${ANALYZER_NODES:-20000}" "$PWD$far"
}
tidy() { run-clang-tidy-14 -quiet -j "$JOBS" -p build-tsan "$@"; }

fuzz() { BUILD=build-asan sh tests/fuzz/run.sh "$FUZZ_SECONDS"; }

sh packaging/install-packages.sh test || { echo "packages are missing, see above"; exit 1; }

step format check_format
step includes check_includes
step scripts check_shell
step python check_python
step quickstart quickstart
step e2e e2e build
step browser browser build
step build-asan build_asan
step unit-asan unit build-asan
step e2e-asan e2e build-asan
step build-tsan build_tsan
step unit-tsan unit build-tsan
step e2e-tsan e2e build-tsan config_test zones_test gateway_load_test gateway_reload_test
step clang-tidy clang_tidy src
[ -z "$only" ] || step clang-tidy-tests clang_tidy tests/unit
step fuzz fuzz
finish
