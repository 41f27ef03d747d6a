#include "server/example.h"

#include <array>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string_view>
#include <system_error>
#include <utility>

#include <fmt/format.h>

#include "base/address.h"
#include "net/socket.h"
#include "server/example_certificate.h"
#include "server/listen.h"

namespace postern::server {
namespace {

constexpr std::uint16_t kPort = 5300;
constexpr std::array<std::uint16_t, 4> kHttpsPorts{8443, 9443, 10443, 18443};
constexpr std::array<std::uint16_t, 4> kHttpPorts{8080, 9080, 10080, 18080};

constexpr std::string_view kConfig = R"([server]
user  = ""                      # stay as started; by default: postern
admin = "127.0.0.1:9153"        # status page, API, metrics and health

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

[[tls.certificate]]             # made for this example alone; clients trust {authority}
name = "example"
cert = "{cert}"
key  = "{key}"

[[gateway.listener]]            # HTTPS for the names below; on 443 and 80 in a real network
name         = "internal"
address      = ["127.0.0.1"]
https        = {https}
http         = {http}
certificates = ["example"]

[[gateway.route]]               # answered by the gateway itself
listeners = ["internal"]
hostnames = ["hello.vanillax.me"]
respond   = { body = """
Hello from Postern: this name was resolved and this page was served without leaving the network.
""" }

[[gateway.route]]               # handed on to a backend: Postern's own metrics and health
listeners = ["internal"]
hostnames = ["admin.vanillax.me"]
backends  = [{ url = "http://127.0.0.1:9153" }]
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

constexpr std::string_view kGreeting = R"text(Postern serves its built-in example, {file}. Try:

  dig @127.0.0.1 -p {port} llama.vanillax.me A
  dig @127.0.0.1 -p {port} llama.vanillax.me HTTPS
  dig @127.0.0.1 -p {port} nas.home.arpa A

And over HTTPS, each name at the address that Postern says it has:

  curl --cacert {authority} \
    --resolve "hello.vanillax.me:{https}:$(dig +short @127.0.0.1 -p {port} hello.vanillax.me)" \
    https://hello.vanillax.me:{https}/
  curl --cacert {authority} \
    --resolve "admin.vanillax.me:{https}:$(dig +short @127.0.0.1 -p {port} admin.vanillax.me)" \
    https://admin.vanillax.me:{https}/healthz
{note}
Ctrl-C stops it.

)text";

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

// The first that nobody uses; when all are taken, the first, and the start says who to look for.
template <std::size_t N>
std::uint16_t free_port(const std::array<std::uint16_t, N>& ports) {
  for (const std::uint16_t port : ports) {
    const auto endpoint = Endpoint::parse(fmt::format("127.0.0.1:{}", port));
    if (is_free(*endpoint)) return port;
  }
  return ports.front();
}

void fill(std::string* text, std::string_view slot, std::string_view value) {
  for (std::size_t at = 0; (at = text->find(slot, at)) != std::string::npos; at += value.size()) {
    text->replace(at, slot.size(), value);
  }
}

std::string config_text(const ExampleCertificate& certificate, std::uint16_t https,
                        std::uint16_t http) {
  std::string text(kConfig);
  fill(&text, "{listen}", listen_addresses());
  fill(&text, "{authority}", certificate.authority);
  fill(&text, "{cert}", certificate.cert);
  fill(&text, "{key}", certificate.key);
  fill(&text, "{https}", fmt::format("{}", https));
  fill(&text, "{http}", fmt::format("{}", http));
  return text;
}

std::string port_note(std::uint16_t https, std::uint16_t http) {
  std::string note;
  if (https != kHttpsPorts.front()) {
    note += fmt::format("\nPort {} is taken, so HTTPS is on {}.\n", kHttpsPorts.front(), https);
  }
  if (http != kHttpPorts.front()) {
    note += fmt::format("\nPort {} is taken, so HTTP is on {}.\n", kHttpPorts.front(), http);
  }
  return note;
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
  auto certificate = example_certificate({"vanillax.me", "*.vanillax.me"}, directory);
  if (!certificate) return tl::unexpected(certificate.error());
  example.authority_ = certificate->authority;
  example.https_ = free_port(kHttpsPorts);
  example.http_ = free_port(kHttpPorts);
  const std::string config = config_text(*certificate, example.https_, example.http_);
  if (!write_file(example.config_file(), config) ||
      !write_file(directory + "/home.arpa.zone", kZone)) {
    return fail(Code::kIo, fmt::format("cannot write the example to {}: {}", directory,
                                       std::generic_category().message(errno)));
  }
  return example;
}

Example::Example(Example&& other) noexcept
    : directory_(std::exchange(other.directory_, {})),
      authority_(std::move(other.authority_)),
      https_(other.https_),
      http_(other.http_) {}

Example::~Example() { remove(); }

void Example::remove() {
  std::error_code ignored;
  if (!directory_.empty()) std::filesystem::remove_all(directory_, ignored);
}

std::string Example::greeting() const {
  return fmt::format(kGreeting, fmt::arg("file", config_file()), fmt::arg("port", kPort),
                     fmt::arg("authority", authority_), fmt::arg("https", https_),
                     fmt::arg("note", port_note(https_, http_)));
}

}  // namespace postern::server
