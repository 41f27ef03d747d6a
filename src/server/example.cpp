#include "server/example.h"

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string_view>
#include <system_error>
#include <utility>

#include <fmt/format.h>

#include "base/address.h"
#include "net/socket.h"

namespace postern::server {
namespace {

constexpr std::uint16_t kPort = 5300;

constexpr std::string_view kConfig = R"([server]
user  = ""                      # stay as started; by default: postern
admin = "127.0.0.1:9153"        # metrics and health

[dns]
listen = [{listen}]

[[dns.override]]                # what is served inside, whatever the public DNS says
names   = ["vanillax.me", "*.vanillax.me"]
address = ["192.168.10.50"]

[[dns.override]]                # an exception: this one stays outside
names   = ["status.vanillax.me"]
forward = true

[[dns.zone]]                    # names that only this network knows; edit the file and ask again
name = "home.arpa"
file = "home.arpa.zone"

# No [[dns.forward]] for ".": everything else goes to the resolvers in /etc/resolv.conf.
)";

constexpr std::string_view kZone = R"($TTL 1h
@       IN SOA ns admin (
              1                 ; serial
              1h 10m 1w         ; refresh, retry, expire
              5m )              ; how long "there is no such name" may be kept
        IN NS  ns
ns      IN A   192.168.10.1
gw      IN A   192.168.10.50
nas     IN A   192.168.10.20
files   IN CNAME nas
)";

constexpr std::string_view kGreeting = R"(Postern serves its built-in example, {file}. Try:

  dig @127.0.0.1 -p {port} llama.vanillax.me A
  dig @127.0.0.1 -p {port} llama.vanillax.me HTTPS
  dig @127.0.0.1 -p {port} nas.home.arpa A

Ctrl-C stops it.

)";

bool write_file(const std::string& path, std::string_view text) {
  std::ofstream file(path);
  file << text;
  return static_cast<bool>(file.flush());
}

std::string listen_addresses() {
  const auto v6 = Endpoint::parse(fmt::format("[::1]:{}", kPort));
  const bool has_v6 = net::bind_udp(*v6).has_value();
  return fmt::format("\"127.0.0.1:{}\"{}", kPort,
                     has_v6 ? fmt::format(", \"[::1]:{}\"", kPort) : "");
}

std::string config_text() {
  std::string text(kConfig);
  const std::string_view slot = "{listen}";
  return text.replace(text.find(slot), slot.size(), listen_addresses());
}

}  // namespace

Result<Example> Example::write() {
  std::error_code error;
  std::string directory = (std::filesystem::temp_directory_path(error) / "postern-XXXXXX").string();
  if (error || ::mkdtemp(directory.data()) == nullptr) {
    return fail(Code::kIo, fmt::format("cannot make a directory for the example, {}: {}", directory,
                                       std::generic_category().message(errno)));
  }
  Example example(directory);
  if (!write_file(example.config_file(), config_text()) ||
      !write_file(directory + "/home.arpa.zone", kZone)) {
    return fail(Code::kIo, fmt::format("cannot write the example to {}: {}", directory,
                                       std::generic_category().message(errno)));
  }
  return example;
}

Example::Example(Example&& other) noexcept : directory_(std::exchange(other.directory_, {})) {}

Example::~Example() { remove(); }

void Example::remove() {
  std::error_code ignored;
  if (!directory_.empty()) std::filesystem::remove_all(directory_, ignored);
}

std::string Example::greeting() const {
  return fmt::format(kGreeting, fmt::arg("file", config_file()), fmt::arg("port", kPort));
}

}  // namespace postern::server
