#include <cstdlib>

#include "bench.h"

// bench_http [FILTER [ITERATIONS]]: as bench_dns.
int main(int argc, char** argv) {
  postern::bench::Bench bench(argc > 1 ? argv[1] : "",
                              argc > 2 ? std::strtoull(argv[2], nullptr, 10) : 0);
  postern::bench::bench_h1(bench);
  postern::bench::bench_h2(bench);
  postern::bench::bench_route(bench);
  return 0;
}
