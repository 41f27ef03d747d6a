// A clock around pure functions: runs each for about a fifth of a second, three times, and prints
// the best in nanoseconds of processor time per operation. One thread; a filter picks benchmarks by
// part of the name.
#pragma once

#include <time.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <string>
#include <string_view>
#include <utility>

namespace postern::bench {

/// Keeps the compiler from leaving out work whose result nobody reads.
template <class T>
void keep(const T& value) {
  asm volatile("" : : "g"(&value) : "memory");
}

class Bench {
 public:
  explicit Bench(std::string filter, std::uint64_t fixed_iterations)
      : filter_(std::move(filter)), fixed_iterations_(fixed_iterations) {}

  bool wanted(std::string_view name) const { return name.find(filter_) != std::string_view::npos; }

  /// `work(i)` is one operation; i counts up from 0. With `bytes` that it looks at, nanoseconds per
  /// byte are printed too.
  template <class Work>
  void run(const std::string& name, Work work, std::size_t bytes = 0) {
    if (!wanted(name)) return;
    if (fixed_iterations_ != 0) {  // for callgrind
      for (std::uint64_t i = 0; i < fixed_iterations_; ++i) work(i);
      return;
    }
    std::uint64_t count = 1;
    while (time_us(work, count) < kRunUs / 10) count *= 2;
    std::uint64_t best_us = UINT64_MAX;
    const std::uint64_t rounds = count * 10;
    for (int i = 0; i < 3; ++i) best_us = std::min(best_us, time_us(work, rounds));
    const double best_ns = static_cast<double>(best_us) * 1000.0 / static_cast<double>(rounds);
    std::printf("%-58s %12.1f ns/op", name.c_str(), best_ns);
    if (bytes != 0) std::printf(" %8.3f ns/byte", best_ns / static_cast<double>(bytes));
    std::printf("\n");
    std::fflush(stdout);
  }

 private:
  static constexpr std::uint64_t kRunUs = 200'000;

  template <class Work>
  static std::uint64_t time_us(Work& work, std::uint64_t count) {
    const std::uint64_t start = processor_us();
    for (std::uint64_t i = 0; i < count; ++i) work(i);
    return processor_us() - start;
  }

  /// Of this thread: other work on the machine does not count.
  static std::uint64_t processor_us() {
    timespec t{};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return static_cast<std::uint64_t>(t.tv_sec) * 1'000'000 +
           static_cast<std::uint64_t>(t.tv_nsec) / 1000;
  }

  std::string filter_;
  std::uint64_t fixed_iterations_;
};

void bench_cache(Bench& bench);
void bench_answer(Bench& bench);
void bench_accept(Bench& bench);
void bench_svcb(Bench& bench);
void bench_zone(Bench& bench);
void bench_h1(Bench& bench);
void bench_h2(Bench& bench);
void bench_route(Bench& bench);

/// A master file for "example." with so many hosts; its path, to be removed by the caller.
std::string write_zone(unsigned hosts);

}  // namespace postern::bench
