#include "server/dnstap.h"

#include <array>

#include "nameserver/transport.h"

namespace postern::server {
namespace {

using nameserver::QueryRing;

// Field numbers of dnstap.proto.
enum DnstapField : std::uint8_t { kIdentity = 1, kVersion = 2, kMessage = 14, kType = 15 };
enum MessageField : std::uint8_t {
  kMessageType = 1,
  kSocketFamily = 2,
  kSocketProtocol = 3,
  kQueryAddress = 4,
  kResponseAddress = 5,
  kQueryPort = 6,
  kResponsePort = 7,
  kQueryTimeSec = 8,
  kQueryTimeNsec = 9,
  kQueryMessage = 10,
  kResponseTimeSec = 12,
  kResponseTimeNsec = 13,
  kResponseMessage = 14,
};
constexpr std::uint8_t kTypeMessage = 1;
constexpr std::size_t kControlBytesMax = 512;
constexpr std::uint32_t kContentType = 1;  // a control frame's field

void put_u32(std::string* out, std::uint32_t value) {
  for (unsigned shift = 32; shift != 0; shift -= 8) {
    out->push_back(static_cast<char>(value >> (shift - 8)));
  }
}

// Protocol buffers: varints, 32-bit little endian, and bytes with their length.
class Protobuf {
 public:
  void number(unsigned field, std::uint64_t value) {
    varint(field << 3U);
    varint(value);
  }
  void fixed32(unsigned field, std::uint32_t value) {
    varint(field << 3U | 5U);
    for (unsigned shift = 0; shift != 32; shift += 8) {
      text_.push_back(static_cast<char>(value >> shift));
    }
  }
  void bytes(unsigned field, std::string_view value) {
    varint(field << 3U | 2U);
    varint(value.size());
    text_.append(value);
  }
  void clear() { text_.clear(); }
  const std::string& text() const { return text_; }

 private:
  void varint(std::uint64_t value) {
    for (; value >= 0x80; value >>= 7U) text_.push_back(static_cast<char>(value | 0x80U));
    text_.push_back(static_cast<char>(value));
  }
  std::string text_;
};

void add_time(Protobuf* message, unsigned seconds_field, unsigned rest_field, std::uint64_t us) {
  message->number(seconds_field, us / 1'000'000);
  message->fixed32(rest_field, static_cast<std::uint32_t>(us % 1'000'000 * 1000));
}

std::string_view address_bytes(const IpAddress& address) {
  return as_text(Bytes(address.data(), address.size()));
}

// "query" is who asks and "response" who answers, whatever the message is.
void add_ends(Protobuf* message, const Endpoint& asks, const Endpoint& answers) {
  if (!asks.ip.is_unspecified()) message->bytes(kQueryAddress, address_bytes(asks.ip));
  if (!answers.ip.is_unspecified()) message->bytes(kResponseAddress, address_bytes(answers.ip));
  if (asks.port != 0) message->number(kQueryPort, asks.port);
  if (answers.port != 0) message->number(kResponsePort, answers.port);
}

void add_message(Protobuf* message, DnstapType type, const QueryRing::Entry& entry) {
  constexpr std::array<std::uint8_t, 4> kProtocols{1, 2, 3, 4};  // UDP, TCP, DOT, DOH
  const nameserver::QueryRecord& record = entry.record;
  const bool forwarder =
      type == DnstapType::kForwarderQuery || type == DnstapType::kForwarderResponse;
  const bool response =
      type == DnstapType::kClientResponse || type == DnstapType::kForwarderResponse;
  message->number(kMessageType, static_cast<std::uint64_t>(type));
  message->number(kSocketFamily, record.peer.ip.is_v4() ? 1 : 2);
  message->number(kSocketProtocol, kProtocols[record.transport % kProtocols.size()]);
  add_ends(message, forwarder ? record.local : record.peer, forwarder ? record.peer : record.local);
  add_time(message, kQueryTimeSec, kQueryTimeNsec, record.begun_us);
  if (response) {
    add_time(message, kResponseTimeSec, kResponseTimeNsec, record.begun_us + record.took_us);
    message->bytes(kResponseMessage, as_text(entry.reply));
  } else {
    message->bytes(kQueryMessage, as_text(entry.query));
  }
}

}  // namespace

void append_dnstap(std::string* out, DnstapType type, const QueryRing::Entry& entry,
                   std::string_view identity, std::string_view version) {
  thread_local Protobuf message;
  thread_local Protobuf whole;
  message.clear();
  whole.clear();
  add_message(&message, type, entry);
  if (!identity.empty()) whole.bytes(kIdentity, identity);
  whole.bytes(kVersion, version);
  whole.bytes(kMessage, message.text());
  whole.number(kType, kTypeMessage);
  put_u32(out, static_cast<std::uint32_t>(whole.text().size()));
  out->append(whole.text());
}

std::string control_frame(FrameControl control) {
  std::string body;
  put_u32(&body, static_cast<std::uint32_t>(control));
  if (control != FrameControl::kStop && control != FrameControl::kFinish) {
    put_u32(&body, kContentType);
    put_u32(&body, static_cast<std::uint32_t>(kDnstapContent.size()));
    body += kDnstapContent;
  }
  std::string frame;
  put_u32(&frame, 0);  // the escape: no data frame has this length
  put_u32(&frame, static_cast<std::uint32_t>(body.size()));
  return frame + body;
}

bool read_control_frame(std::string_view data, FrameControl* control, std::size_t* size) {
  *size = 0;
  if (data.size() < 12) return true;
  const Bytes bytes = as_bytes(data);
  const std::uint32_t body = load_u32(bytes.data() + 4);
  if (load_u32(bytes.data()) != 0 || body < 4 || body > kControlBytesMax) return false;
  if (data.size() < 8 + body) return true;
  const std::uint32_t type = load_u32(bytes.data() + 8);
  if (type < 1 || type > 5) return false;
  *control = static_cast<FrameControl>(type);
  *size = 8 + body;
  return true;
}

}  // namespace postern::server
