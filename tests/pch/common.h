// What nearly every file includes, parsed once for each folder. Only the builds of the tests by
// clang have it: those of g++ show that every file includes what it uses.
#ifndef POSTERN_TESTS_PCH_COMMON_H
#define POSTERN_TESTS_PCH_COMMON_H

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstring>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <variant>
#include <vector>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <tl/expected.hpp>

#endif
