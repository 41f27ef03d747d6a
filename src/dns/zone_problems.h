// Collects what is wrong with a zone, errors before warnings when there are too many.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "dns/zone.h"

namespace postern::dns {

/// Where a record stands. `file` counts ZoneProblems' files.
struct ZonePlace {
  std::uint32_t line = 0;
  std::uint16_t column = 0;
  std::uint16_t file = 0;
};

class ZoneProblems {
 public:
  explicit ZoneProblems(std::size_t problems_max) : problems_max_(problems_max) {}

  /// Returns its number.
  std::uint16_t add_file(std::string name);
  const std::vector<std::string>& files() const { return files_; }

  void error(const ZonePlace& place, std::string text) { add(place, std::move(text), false); }
  void warning(const ZonePlace& place, std::string text) { add(place, std::move(text), true); }

  std::size_t error_count() const { return error_count_; }
  std::size_t count() const { return error_count_ + warning_count_; }
  /// The first of them by file and line.
  std::vector<ZoneProblem> take();

 private:
  struct Entry {
    ZonePlace place;
    std::string text;
    bool warning;
  };
  void add(const ZonePlace& place, std::string text, bool warning);

  std::size_t problems_max_;
  std::size_t error_count_ = 0;
  std::size_t warning_count_ = 0;
  std::vector<Entry> entries_;
  std::vector<std::string> files_;
};

}  // namespace postern::dns
