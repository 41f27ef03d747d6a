#include "server/config_query_log.h"

#include <algorithm>
#include <array>
#include <filesystem>
#include <system_error>

#include <sys/un.h>

#include "server/config_help.h"
#include "server/system.h"

namespace postern::server {
namespace {

constexpr std::uint64_t kRotateMin = 64U << 10, kRotateMax = 1ULL << 40;
constexpr std::size_t kSocketPathMax = sizeof(sockaddr_un::sun_path) - 1;

constexpr std::array<Choice<LogFormat>, 2> kFormats{
    {{"text", LogFormat::kText}, {"json", LogFormat::kJson}}};

constexpr auto kReadRotate = bytes<kRotateMin, kRotateMax, std::uint64_t>;
constexpr auto kReadKeep = integer<0, 1000, unsigned>;

constexpr std::array<Key<QueryLogSettings>, 4> kQueryLogKeys{{
    {"file", field<&QueryLogSettings::file, read_text>},
    {"format", field<&QueryLogSettings::format, choice<kFormats, LogFormat>>},
    {"rotate", field<&QueryLogSettings::rotate_bytes, kReadRotate>},
    {"keep", field<&QueryLogSettings::keep, kReadKeep>},
}};

enum class Messages : std::uint8_t { kClient, kForwarder };
constexpr std::array<Choice<Messages>, 2> kMessages{
    {{"client", Messages::kClient}, {"forwarder", Messages::kForwarder}}};

// For the reference, see config_facts.h.
std::string value_text(Messages one) {
  return one == Messages::kClient ? "\"client\"" : "\"forwarder\"";
}

void read_messages(Reader& reader, const Node& node, DnstapSettings& dnstap) {
  std::vector<Messages> chosen;
  if (!list<choice<kMessages, Messages>, Messages>(reader, node, &chosen)) return;
  const auto has = [&](Messages one) {
    return std::find(chosen.begin(), chosen.end(), one) != chosen.end();
  };
  dnstap.client = has(Messages::kClient);
  dnstap.forwarder = has(Messages::kForwarder);
}

constexpr std::array<Key<DnstapSettings>, 6> kDnstapKeys{{
    {"socket", field<&DnstapSettings::socket, read_text>},
    {"file", field<&DnstapSettings::file, read_text>},
    {"identity", field<&DnstapSettings::identity, read_text>},
    {"messages", read_messages},
    {"rotate", field<&DnstapSettings::rotate_bytes, kReadRotate>},
    {"keep", field<&DnstapSettings::keep, kReadKeep>},
}};

// The file is made when it is first written to; its directory has to be there.
void check_path(Reader& reader, const Node& table, std::string_view key, std::string_view name,
                std::string* path) {
  if (path->empty()) return;
  const Node* const node = table.find(key);
  if (node == nullptr) return;
  *path = beside(reader.file_of(node->place), *path);
  std::error_code error;
  const std::filesystem::path directory = std::filesystem::path(*path).parent_path();
  if (!directory.empty() && !std::filesystem::is_directory(directory, error)) {
    reader.error(node->place,
                 fmt::format("{}.{}: there is no directory '{}'; a path is relative to the file "
                             "that has it",
                             name, key, directory.string()));
  } else if (std::filesystem::is_directory(*path, error)) {
    reader.error(node->place, fmt::format("{}.{}: '{}' is a directory; allowed: the path of a file",
                                          name, key, *path));
  }
}

// Where a start or a reload is refused though all is well here: the service may not write into its
// configuration's folder, whoever owns it.
void warn_of_folder(Reader& reader, const Node* table, std::string_view name,
                    const std::string& path, const std::string& user) {
  namespace fs = std::filesystem;
  const Node* const node = table == nullptr || path.empty() ? nullptr : table->find("file");
  if (node == nullptr) return;
  std::error_code error;
  const fs::path folder = fs::absolute(path, error).parent_path();
  const fs::path own = fs::absolute(reader.files().front(), error).parent_path();
  if (!fs::is_directory(folder, error) || (fs::exists(path, error) && !fs::is_regular_file(path))) {
    return;
  }
  if (fs::equivalent(folder, own, error)) {
    reader.warning(node->place,
                   fmt::format("{}.file: '{}' is in the configuration's own folder, which the "
                               "system's service may not write to; better: \"/var/log/postern/{}\"",
                               name, path, fs::path(path).filename().string()));
  } else if (!may_make_files(user, folder.string())) {
    reader.warning(node->place,
                   fmt::format("{}.file: user '{}' may not write into '{}', so a start would fail; "
                               "choose another directory, or: chown {} {}",
                               name, user, folder.string(), user, folder.string()));
  }
}

void check_dnstap(Reader& reader, const Node& node, DnstapSettings* dnstap) {
  check_path(reader, node, "file", "dns.dnstap", &dnstap->file);
  const Node* const socket = node.find("socket");
  if (socket == nullptr && node.find("file") == nullptr) {
    reader.error(node.place, "dns.dnstap has neither socket nor file; add one of them");
  }
  if (socket == nullptr || dnstap->socket.empty()) return;
  dnstap->socket = beside(reader.file_of(socket->place), dnstap->socket);
  if (dnstap->socket.size() > kSocketPathMax) {
    reader.error(socket->place,
                 fmt::format("dns.dnstap.socket: '{}' is {} bytes long; allowed: {} at most",
                             dnstap->socket, dnstap->socket.size(), kSocketPathMax));
  }
}

}  // namespace

void read_query_log(Reader& reader, const Node& node, Document& document) {
  document.query_log = &node;
  read_table(reader, node, kQueryLogKeys, document.config.query_log);
}

void read_dnstap(Reader& reader, const Node& node, Document& document) {
  document.dnstap = &node;
  read_table(reader, node, kDnstapKeys, document.config.dnstap);
}

void check_query_logs(Reader& reader, Document& document, const ConfigSurroundings& surroundings) {
  if (document.query_log != nullptr) {
    check_path(reader, *document.query_log, "file", "dns.query_log",
               &document.config.query_log.file);
  }
  if (document.dnstap != nullptr) {
    check_dnstap(reader, *document.dnstap, &document.config.dnstap);
  }
  if (!surroundings.start) return;
  const Config& config = document.config;
  const std::string& user = config.server.user;
  warn_of_folder(reader, document.query_log, "dns.query_log", config.query_log.file, user);
  warn_of_folder(reader, document.dnstap, "dns.dnstap", config.dnstap.file, user);
}

}  // namespace postern::server
