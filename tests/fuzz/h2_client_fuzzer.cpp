// Responses of HTTP/2: a byte of options, a block of choices that say how the input is split and
// what the owner of each stream does, then what a backend sends.
#include <array>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "check.h"
#include "h2.h"
#include "http/h2_client.h"

namespace postern::fuzz {
namespace {

using http::BodyLength;
using http::Fields;
using http::RequestHead;
using http::ResponseHead;
using http::h2::ClientConnection;
using http::h2::Settings;

constexpr std::size_t kPrefaceBytes = 24;
constexpr std::string_view kStart = "\0\0\0\4\0\0\0\0\0";
constexpr std::size_t kStartBytes = 9;

Settings settings_of(unsigned options) {
  Settings settings;
  if ((options & 1) != 0) settings.header_bytes_max = 300;
  if ((options & 2) != 0) settings.fields_max = 3;
  if ((options & 4) != 0) settings.stream_window_bytes = 50;
  return settings;
}

class Owner;

class Run {
 public:
  Run(unsigned options, Bytes choices)
      : settings(settings_of(options)),
        choices(choices),
        connection(ClientConnection::make(settings)) {}

  void act(std::int32_t id);
  void request();
  void cancel(std::int32_t id);
  void collect(bool all);
  void feed(std::string_view text);

  Settings settings;
  Choices choices;
  std::map<std::int32_t, std::unique_ptr<Owner>> owners;
  std::unique_ptr<ClientConnection> connection;
  FrameWatch watch{kPrefaceBytes};
  std::vector<std::unique_ptr<Owner>> canceled;  // may be called from: not gone until later
};

class Owner final : public http::h2::ClientStream {
 public:
  explicit Owner(Run& run) : run_(run) {}

  void silence() { silent_ = true; }
  ResponseHead& head() override { return head_; }
  void interim() override {
    check();
    require(!told_ && head_.status >= 100 && head_.status < 200 && head_.status != 101,
            "interim heads come before the final one");
    run_.act(id);
  }
  void response(BodyLength body) override {
    check();
    require(!told_ && head_.status >= 200, "a final head is told once");
    told_ = true;
    ended_ = body.kind == BodyLength::Kind::kNone;
    length_known_ = body.kind == BodyLength::Kind::kKnown;
    length_ = body.bytes;
    require(head_.fields.size() <= run_.settings.fields_max + 1, "fields keep to their limit");
    for (const std::string_view name : {"transfer-encoding", "upgrade", "connection"}) {
      require(head_.fields.find(name) == nullptr, "framing is not among the fields");
    }
    run_.act(id);
  }
  void body(Bytes chunk) override {
    check();
    require(told_ && !ended_, "a body comes behind its head, before its end");
    seen_ += chunk.size();
    require(!length_known_ || seen_ <= length_, "a body keeps to its length");
    if (run_.choices.next() % 2 == 0) run_.connection->consumed(id, chunk.size());
    run_.act(id);
  }
  void body_end(const Fields&) override {
    check();
    require(told_ && !ended_, "a body ends once");
    require(!length_known_ || seen_ == length_, "a body has its length");
    ended_ = true;
    run_.act(id);
  }
  void drained() override {
    check();
    require(run_.connection->unsent(id) == 0, "drained is empty");
    run_.act(id);
  }
  void closed(std::uint32_t, bool unprocessed) override {
    check();
    require(!unprocessed || !told_, "what was answered was processed");
    const std::int32_t own = id;
    run_.owners.erase(own);  // this one
  }

  std::int32_t id = 0;

 private:
  void check() const { require(!silent_, "who canceled hears nothing more"); }

  Run& run_;
  ResponseHead head_;
  bool silent_ = false, told_ = false, ended_ = false, length_known_ = false;
  std::uint64_t length_ = 0, seen_ = 0;
};

void Run::request() {
  const unsigned choice = choices.next();
  const std::array<std::string_view, 4> methods{"GET", "HEAD", "POST", "PUT"};
  RequestHead head;
  head.method = methods[choice % 4];
  head.scheme = "https";
  head.authority = "a.example";
  head.path = "/";
  if (choice >= 224) head.protocol = "websocket";
  auto owner = std::make_unique<Owner>(*this);
  const BodyLength body{choice % 8 < 4 ? BodyLength::Kind::kNone : BodyLength::Kind::kUnknown, 0};
  const bool room = connection->has_room();
  const std::int32_t id = connection->request(head, body, *owner);
  require(room == (id > 0), "there is room or there is not");
  if (id < 0) return;
  owner->id = id;
  owners[id] = std::move(owner);
}

void Run::cancel(std::int32_t id) {
  const auto found = owners.find(id);
  connection->cancel(id);
  if (found == owners.end()) return;
  found->second->silence();
  canceled.push_back(std::move(found->second));
  owners.erase(found);
}

void Run::act(std::int32_t id) {
  static const std::array<std::uint8_t, 20000> zeros{};
  Fields trailers;
  const unsigned choice = choices.next();
  switch (choice % 12) {
    case 0:
      connection->body(id, Bytes(zeros).first(choice * 70));
      break;
    case 1:
      trailers.add("Sum", "1");
      [[fallthrough]];
    case 2:
      connection->body_end(id, trailers);
      break;
    case 3:
      cancel(id);
      break;
    case 4:
      connection->consumed(id, choice * 10);
      break;
    case 5:
      request();
      break;
    case 6:
      if (choice > 200) connection->shut_down();
      break;
    case 7:
      connection->ping();
      break;
    case 8:  // another one
      cancel(static_cast<std::int32_t>(choice / 12));
      break;
    default:
      break;
  }
}

void Run::collect(bool all) {
  std::array<std::uint8_t, 16393> out;
  while (true) {
    const std::size_t size = connection->collect(out);
    watch.take(Bytes(out).first(size));
    if (size == 0 || !all) break;
  }
  canceled.clear();
}

void Run::feed(std::string_view text) {
  std::uint64_t now_ms = 0;
  for (int i = 0; i < 3; ++i) request();
  while (!text.empty()) {
    const unsigned choice = choices.next();
    const std::size_t size = std::min<std::size_t>(text.size(), choice < 128 ? 1000 : choice - 127);
    const ExactCopy piece(as_bytes(text.substr(0, size)));
    text.remove_prefix(size);
    if (choice % 4 != 0) collect(false);
    const bool alive = connection->receive(piece.bytes(), now_ms);
    canceled.clear();
    if (!alive) break;
    require(connection->streams() >= owners.size(), "every owner has its stream");
    if (choice % 8 == 1 && !owners.empty()) act(owners.begin()->first);
    now_ms += choice % 32;
  }
  collect(true);
  if (!connection->receive({}, now_ms)) require(owners.empty(), "nothing is left under way");
  watch.end();
}

void run(Input input) {
  const unsigned options = input.take_u8();
  const Bytes choices = input.take(input.take_u8());
  Run one(options, choices);
  std::string text(kStart.data(), kStartBytes);
  if ((options & 64) != 0) text.clear();
  text += h2_frames(input, (options & 128) != 0);
  one.feed(text);
}

}  // namespace
}  // namespace postern::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  postern::fuzz::run({data, size});
  return 0;
}
