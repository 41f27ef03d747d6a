#include "cli/import.h"

#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <system_error>

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include "base/text.h"
#include "cli/import_corefile.h"
#include "cli/import_dnsmasq.h"
#include "cli/import_hosts.h"
#include "net/socket.h"
#include "server/config.h"

namespace postern::cli {
namespace {

constexpr std::string_view kEmptyZoneFile = "empty.zone";
constexpr std::string_view kEmptyZone =
    "; a domain that has no names of its own\n"
    "$TTL 1m\n"
    "@ IN SOA localhost. nobody.invalid. ( 1 1h 10m 1w 1m )\n"
    "  IN NS  localhost.\n";

Result<void> read_into(const ImportOptions& options, ImportModel* model) {
  if (options.kind == "corefile") return import_corefile(options.file, model);
  if (options.kind == "dnsmasq") return import_dnsmasq(options.file, model);
  const auto text = read_import_file(options.file);
  if (!text) return tl::unexpected(text.error());
  import_hosts_text(*text, options.file, {}, model);
  return {};
}

/// Writes the file unless it is there as it should be; its path.
Result<std::string> write_empty_zone(const std::string& directory) {
  std::error_code error;
  std::filesystem::create_directories(directory, error);
  const std::string path = (std::filesystem::path(directory) / kEmptyZoneFile).string();
  if (const auto there = read_import_file(path); there && *there == kEmptyZone) return path;
  const net::Fd fd(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644));
  if (!fd || ::write(fd.get(), kEmptyZone.data(), kEmptyZone.size()) !=
                 static_cast<ssize_t>(kEmptyZone.size())) {
    return fail(Code::kIo, fmt::format("{}: {}", path, std::generic_category().message(errno)));
  }
  return path;
}

// What was made is read as `postern check` would: what it does not accept is our mistake, and is
// said in place of a file that does not start.
Result<void> check_own(const std::string& toml, const std::string& file) {
  const server::ConfigResult read = server::load_config_text(toml, "imported.toml");
  if (read.ok()) return {};
  const auto bad = std::find_if(read.problems.begin(), read.problems.end(),
                                [](const server::ConfigProblem& one) { return !one.warning; });
  return fail(Code::kInvalid,
              fmt::format("{}: the configuration made from it has an error: {}", file,
                          bad == read.problems.end() ? "" : bad->to_string()));
}

}  // namespace

Result<Imported> import_configuration(const ImportOptions& options) {
  ImportModel model;
  if (auto read = read_into(options, &model); !read) return tl::unexpected(read.error());
  std::string empty_zone;
  if (model.needs_empty_zone() && !options.zones.empty()) {
    auto written = write_empty_zone(options.zones);
    if (!written) return tl::unexpected(written.error());
    empty_zone = std::filesystem::absolute(*written).lexically_normal().string();
  }
  Imported imported;
  imported.toml = model.to_toml(
      fmt::format("made from {} by postern import {}", options.file, options.kind), empty_zone);
  for (const ImportNote& note : model.notes()) {
    imported.notes +=
        fmt::format("{}: {}\n", comment_text(note.place.to_string()), comment_text(note.text));
  }
  if (model.notes_left_out() != 0) {
    imported.notes += fmt::format("and {} more\n", model.notes_left_out());
  }
  if (auto good = check_own(imported.toml, options.file); !good) {
    return tl::unexpected(good.error());
  }
  return imported;
}

int import(const ImportOptions& options) {
  const auto imported = import_configuration(options);
  if (!imported) {
    fmt::print(stderr, "postern import: {}\n", comment_text(imported.error().detail));
    return 1;
  }
  fmt::print("{}", imported->toml);
  if (!imported->notes.empty()) {
    fmt::print(stderr, "postern import: not carried over:\n{}", imported->notes);
  }
  return 0;
}

}  // namespace postern::cli
