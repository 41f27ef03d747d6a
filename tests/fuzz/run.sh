#!/bin/sh
# Runs every fuzzer: first what was found and fixed before, then new inputs for SECONDS, as many at a
# time as there are processors. Exit status 1 when one finds something; it says which file
# reproduces it. The last line counts the fuzzers.
#
#   sh tests/fuzz/run.sh SECONDS [TARGET...]
#   BUILD=build-asan   where they were built
#   JOBS=2             how many run at a time; default: the processors of this machine
set -u
cd "$(dirname "$0")/../.."
seconds=${1:?usage: run.sh SECONDS [TARGET...]}
shift
BUILD=${BUILD:-build-asan}
JOBS=${JOBS:-$(nproc)}
targets=${*:-answer config h1_request h1_response h2_client h2_server message proxy_header quic quic_hello route svcb url zone}
inputs=tests/fuzz
out=$BUILD/fuzz
passed=0
failed=0

export ASAN_OPTIONS="${ASAN_OPTIONS:-detect_stack_use_after_return=1:strict_string_checks=1}"
export UBSAN_OPTIONS="${UBSAN_OPTIONS:-print_stacktrace=1:halt_on_error=1}"

/usr/bin/python3 $inputs/make_corpus.py "$out/seeds" || exit 1

# Only what these runs find counts.
rm -rf "$out/artifacts"
mkdir -p "$out/artifacts" "$out/logs"

# fuzz TARGET OPTIONS...
fuzz() {
  target=$1
  shift
  "$BUILD/tests/fuzz/fuzz_$target" -rss_limit_mb=2048 -timeout=20 -verbosity=1 \
    -artifact_prefix="$out/artifacts/$target-" "$@"
}

# Writes its exit status to a file, because it runs in the background.
run_target() {
  mkdir -p "$out/found/$1"
  status=0
  for file in "$inputs/regressions/$1"/*; do
    [ -f "$file" ] || continue
    fuzz "$1" "$file" || { status=1; echo "REPRODUCES: $file"; break; }
  done
  dictionary=$inputs/$1.dict
  if [ "$status" = 0 ]; then
    fuzz "$1" -max_total_time="$seconds" -max_len=8192 -print_final_stats=1 \
      ${dictionary:+-dict="$dictionary"} "$out/found/$1" "$out/seeds/$1" || status=1
  fi
  echo "$status" >"$out/logs/$1.status"
}

report() {
  log=$out/logs/$1.log
  summary=$(sed -n 's/.*\(cov: [0-9]* ft: [0-9]*\).*/\1/p' "$log" | tail -n 1)
  rate=$(sed -n 's/^stat::average_exec_per_sec: *//p' "$log")
  if [ "$(cat "$out/logs/$1.status")" = 0 ]; then
    passed=$((passed + 1))
    echo "$1: nothing found, $summary, ${rate:-0} runs a second"
    return
  fi
  failed=$((failed + 1))
  echo "$1: FOUND SOMETHING; the end of $log:"
  grep -a -v 'libFuzzer\|fuzzer::' "$log" | tail -n 40
  for file in "$out/artifacts/$1-"*; do
    [ -f "$file" ] && echo "Reproduces with: $BUILD/tests/fuzz/fuzz_$1 $file"
  done
  sed -n 's/^REPRODUCES: /An old one is back: /p' "$log"
}

# As many at a time as there are processors: each takes the next one of the list when it is done.
running=
for target in $targets; do
  set -- $running
  while [ "$#" -ge "$JOBS" ]; do
    sleep 1
    running=
    for pid in "$@"; do
      kill -0 "$pid" 2>/dev/null && running="$running $pid"
    done
    set -- $running
  done
  run_target "$target" >"$out/logs/$target.log" 2>&1 &
  running="$running $!"
done
wait

for target in $targets; do report "$target"; done
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
