// Requests of HTTP/2: a byte of options, a block of choices that say how the input is split and
// what the owner of each stream does, then what a client sends behind the preface.
#include <array>
#include <map>
#include <memory>
#include <string>

#include "check.h"
#include "h2.h"
#include "http/authority.h"
#include "http/h2_server.h"

namespace postern::fuzz {
namespace {

using http::BodyLength;
using http::Fields;
using http::RequestHead;
using http::ResponseHead;
using http::h2::ServerConnection;
using http::h2::Settings;

constexpr std::string_view kStart =
    "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
    "\0\0\0\4\0\0\0\0\0";
constexpr std::size_t kStartBytes = 24 + 9;

Settings settings_of(unsigned options) {
  Settings settings;
  if ((options & 1) != 0) settings.header_bytes_max = 300;
  if ((options & 2) != 0) settings.fields_max = 3;
  if ((options & 4) != 0) settings.streams_max = 2;
  if ((options & 8) != 0) settings.stream_window_bytes = 50;
  if ((options & 16) != 0) settings.connect_protocol = false;
  return settings;
}

class Owner;

class Run final : public http::h2::ServerEvents {
 public:
  Run(unsigned options, Bytes choices)
      : settings(settings_of(options)),
        choices(choices),
        connection(ServerConnection::make(settings, *this)) {}

  http::h2::ServerStream* opened(std::int32_t stream) override;
  void act(std::int32_t id);
  void collect_some();
  void drain();
  void feed(std::string_view text);

  Settings settings;
  Choices choices;
  std::map<std::int32_t, std::unique_ptr<Owner>> owners;
  std::unique_ptr<ServerConnection> connection;
  FrameWatch watch{0};
  std::uint64_t now_ms = 0;
};

class Owner final : public http::h2::ServerStream {
 public:
  Owner(Run& run, std::int32_t id) : run_(run), id_(id) {}

  RequestHead& head() override { return head_; }
  void request(BodyLength body) override;
  void head_too_large(bool) override {
    require(!told_, "a head is told once");
    told_ = ended_ = true;
    run_.act(id_);
  }
  void body(Bytes chunk) override {
    require(told_ && !ended_, "a body comes behind its head, before its end");
    seen_ += chunk.size();
    require(!length_known_ || seen_ <= length_, "a body keeps to its length");
    taken_ += chunk.size();
    if (run_.choices.next() % 2 == 0) {
      run_.connection->consumed(id_, taken_);
      taken_ = 0;
    }
    run_.act(id_);
  }
  void body_end(const Fields&) override {
    require(told_ && !ended_, "a body ends once");
    require(!length_known_ || seen_ == length_, "a body has its length");
    ended_ = true;
    run_.act(id_);
  }
  void drained() override {
    require(run_.connection->unsent(id_) == 0, "drained is empty");
    run_.act(id_);
  }
  void closed(std::uint32_t) override {
    const std::int32_t id = id_;
    run_.owners.erase(id);  // this one
  }

 private:
  Run& run_;
  std::int32_t id_;
  RequestHead head_;
  bool told_ = false, ended_ = false, length_known_ = false;
  std::uint64_t length_ = 0, seen_ = 0, taken_ = 0;
};

void Owner::request(BodyLength body) {
  require(!told_, "a head is told once");
  told_ = true;
  ended_ = body.kind == BodyLength::Kind::kNone;
  length_known_ = body.kind == BodyLength::Kind::kKnown;
  length_ = body.bytes;
  require(http::parse_authority(head_.authority).has_value(), "an authority is one");
  const bool plain_connect = head_.method == "CONNECT" && head_.protocol.empty();
  require(plain_connect ? head_.path.empty() : head_.path == "*" || head_.path.front() == '/',
          "a path begins with a slash");
  std::size_t bytes = 0;
  for (const http::Field& field : head_.fields) bytes += field.name.size() + field.value.size();
  require(bytes <= run_.settings.header_bytes_max, "a head keeps to its limit");
  require(head_.fields.size() <= run_.settings.fields_max + 1, "fields keep to theirs");
  for (const std::string_view name :
       {"host", "content-length", "transfer-encoding", "upgrade", "connection"}) {
    require(head_.fields.find(name) == nullptr, "framing is not among the fields");
  }
  require(head_.fields.count("cookie") <= 1, "cookies are one line");
  run_.act(id_);
}

http::h2::ServerStream* Run::opened(std::int32_t stream) {
  if (choices.next() % 16 == 15) return nullptr;
  auto& owner = owners[stream];
  require(owner == nullptr, "a stream is opened once");
  owner = std::make_unique<Owner>(*this, stream);
  return owner.get();
}

// One of the things that an owner may do at any time.
void Run::act(std::int32_t id) {
  ResponseHead head;
  head.status = 200;
  head.fields.add("X-Any", "y");
  Fields trailers;
  static const std::array<std::uint8_t, 20000> zeros{};
  const unsigned choice = choices.next();
  switch (choice % 16) {
    case 0:
    case 1:
      connection->respond(id, head, {BodyLength::Kind::kUnknown, 0});
      connection->body(id, Bytes(zeros).first(choice));
      break;
    case 2:
      connection->respond(id, head, {BodyLength::Kind::kKnown, 5});
      connection->body(id, Bytes(zeros).first(5));
      connection->body_end(id, {});
      break;
    case 3:
      connection->respond(id, head, {});
      break;
    case 4:
      connection->body(id, Bytes(zeros).first(choice * 70));
      break;
    case 5:
      trailers.add("Sum", "1");
      [[fallthrough]];
    case 6:
      connection->body_end(id, trailers);
      break;
    case 7:
      connection->reset(id, choice);
      break;
    case 8:
      connection->stop_request(id);
      break;
    case 9:
      connection->consumed(id, choice * 10);
      break;
    case 10:
      head.status = 103;
      connection->interim(id, head);
      break;
    case 11:
      if (choice > 200) connection->shut_down();
      break;
    case 12:  // another one
      connection->reset(static_cast<std::int32_t>(choice / 16), 8);
      break;
    default:
      break;
  }
}

void Run::collect_some() {
  std::array<std::uint8_t, 16393> out;
  watch.take(Bytes(out).first(connection->collect(out)));
}

void Run::drain() {
  std::array<std::uint8_t, 16393> out;
  while (const std::size_t size = connection->collect(out)) watch.take(Bytes(out).first(size));
}

void Run::feed(std::string_view text) {
  while (!text.empty()) {
    const unsigned choice = choices.next();
    const std::size_t size = std::min<std::size_t>(text.size(), choice < 128 ? 1000 : choice - 127);
    const ExactCopy piece(as_bytes(text.substr(0, size)));
    text.remove_prefix(size);
    if (!connection->receive(piece.bytes(), now_ms)) break;
    require(connection->streams() == owners.size(), "every stream has its owner");
    if (choice % 4 != 0) collect_some();
    if (choice % 8 == 1 && !owners.empty()) act(owners.begin()->first);
    now_ms += choice % 32;
  }
  drain();
  if (connection->finished()) require(owners.empty(), "nothing is left under way");
  require(connection->streams() == owners.size(), "every stream has its owner");
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
