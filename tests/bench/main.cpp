#include <cstdlib>

#include "bench.h"

// bench_dns [FILTER [ITERATIONS]]: with ITERATIONS each chosen benchmark runs that often and
// nothing is timed (for `valgrind --tool=callgrind`).
int main(int argc, char** argv) {
  postern::bench::Bench bench(argc > 1 ? argv[1] : "",
                              argc > 2 ? std::strtoull(argv[2], nullptr, 10) : 0);
  postern::bench::bench_svcb(bench);
  postern::bench::bench_accept(bench);
  postern::bench::bench_cache(bench);
  postern::bench::bench_answer(bench);
  postern::bench::bench_zone(bench);
  return 0;
}
