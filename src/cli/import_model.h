// What another nameserver's configuration amounts to here, gathered name by name and then written
// as one TOML file. Cold path; one thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/address.h"
#include "base/result.h"

namespace postern::cli {

inline constexpr std::size_t kImportFileBytesMax = 32U << 20;
inline constexpr std::size_t kImportFilesMax = 200;
inline constexpr std::size_t kImportNamesMax = 2'000'000;
inline constexpr std::size_t kImportNotesMax = 2'000;
inline constexpr std::size_t kImportUpstreamsMax = 8;  ///< of one forward
inline constexpr std::uint32_t kImportUdpPayloadMin = 512, kImportUdpPayloadMax = 4096;

/// Line from 1; 0: the file as a whole.
struct ImportPlace {
  std::string file;
  std::size_t line = 0;

  std::string to_string() const;
};

/// Something that could not be carried over.
struct ImportNote {
  ImportPlace place;
  std::string text;
};

/// Who says an address wins over who says less exactly: a host's own line over a whole domain.
enum class ImportRank : std::uint8_t { kDomain, kHost };

class ImportModel {
 public:
  void note(const ImportPlace& place, std::string text);

  /// `name`: "x" or "*.x", without a final dot. What cannot stand here becomes a note.
  void add_address(const std::string& name, const IpAddress& address, ImportRank rank,
                   const ImportPlace& place);
  void add_cname(const std::string& name, const std::string& target, const ImportPlace& place);
  void add_exception(const std::string& name, const ImportPlace& place);
  void add_upstream(const std::string& zone, const std::string& upstream, const ImportPlace& place);
  void set_policy(const std::string& zone, const std::string& policy);
  void add_zone(const std::string& name, const std::string& file, bool fallthrough,
                const ImportPlace& place);
  /// A domain of which nothing else is known: NXDOMAIN for all below it.
  void add_empty_zone(const std::string& name, const ImportPlace& place);
  void listen(const std::string& endpoint);
  /// One line "key = value" of [server], [dns], [dns.cache] or [dns.limits].
  void set(std::string_view table, const std::string& key, const std::string& value);
  /// Of the entries made from now on; nothing: as Postern does.
  void set_ttl(std::optional<std::uint32_t> seconds) { ttl_s_ = seconds; }
  /// Of all entries made so far.
  void set_ttl_of_all(std::uint32_t seconds);

  bool has_name(const std::string& name) const { return by_name_.count(name) != 0; }
  const std::vector<ImportNote>& notes() const { return notes_; }
  std::size_t notes_left_out() const { return notes_left_out_; }
  std::vector<std::string> forward_domains() const;
  std::vector<std::string> upstreams_of(const std::string& zone) const;
  bool needs_empty_zone() const;

  /// The file. `empty_zone`: the path of the zone file for add_empty_zone(); "": there is none, and
  /// these domains become notes.
  std::string to_toml(const std::string& title, const std::string& empty_zone);

 private:
  struct Override {
    std::string name;
    std::vector<IpAddress> addresses;
    std::string cname;
    bool forward = false;
    ImportRank rank = ImportRank::kDomain;
    ImportPlace place;
    std::optional<std::uint32_t> ttl_s;
  };
  struct Forward {
    std::string zone;
    std::vector<std::string> upstreams;
    std::string policy;
    ImportPlace place;
  };
  struct Zone {
    std::string name;
    std::string file;  ///< "": the empty one
    bool fallthrough = false;
    ImportPlace place;
  };

  Override* entry(const std::string& name, const ImportPlace& place);
  Forward& forward_of(const std::string& zone, const ImportPlace& place);
  static bool same_content(const Override& a, const Override& b);
  void write_settings(std::string* out) const;
  void write_overrides(std::string* out) const;
  void write_forwards(std::string* out) const;
  void write_zones(const std::string& empty_zone, std::string* out) const;

  std::vector<Override> overrides_;
  std::map<std::string, std::size_t> by_name_;
  std::vector<Forward> forwards_;
  std::vector<Zone> zones_;
  std::vector<std::string> listen_;
  std::map<std::string, std::map<std::string, std::string>, std::less<>> settings_;
  std::vector<ImportNote> notes_;
  std::size_t notes_left_out_ = 0;
  std::optional<std::uint32_t> ttl_s_;
};

/// A text file, whole; the error names the file.
Result<std::string> read_import_file(const std::string& path);
/// Lower case, without a final dot; an error when no name of Postern's configuration could be it.
Result<std::string> import_name(std::string_view text);
/// TOML's basic string, quotes included.
std::string toml_quoted(std::string_view text);
/// "#" for control characters: a comment stays one line.
std::string comment_text(std::string_view text);

}  // namespace postern::cli
