// The built-in example: a configuration and a zone that show the whole job on loopback, written to
// a directory of their own, so that they can be read, edited and checked like any other. Its
// certificate is kept elsewhere (example_certificate.h).
#pragma once

#include <cstdint>
#include <string>

#include "base/result.h"

namespace postern::server {

/// The directory and its files go with the object.
class Example {
 public:
  static Result<Example> write();
  ~Example();
  Example(Example&& other) noexcept;
  Example& operator=(Example&&) = delete;

  std::string config_file() const { return directory_ + "/postern.toml"; }
  std::string greeting() const;  ///< what to try
  void remove();                 ///< the directory, before its time

 private:
  explicit Example(std::string directory) : directory_(std::move(directory)) {}
  std::string directory_;
  std::string authority_;  // what curl is told to trust
  std::uint16_t https_ = 0, http_ = 0;
};

}  // namespace postern::server
