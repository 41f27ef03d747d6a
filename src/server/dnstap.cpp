#include "server/dnstap.h"

#include <dnstap.pb-c.h>

#include "nameserver/transport.h"

namespace postern::server {
namespace {

using nameserver::QueryRing;

// The library's messages refer to what they do not change.
ProtobufCBinaryData borrowed(Bytes bytes) {
  return {bytes.size(), const_cast<std::uint8_t*>(bytes.data())};
}

void set(protobuf_c_boolean* has, ProtobufCBinaryData* field, Bytes value) {
  *has = 1;
  *field = borrowed(value);
}

template <class Field, class Value>
void set(protobuf_c_boolean* has, Field* field, Value value) {
  *has = 1;
  *field = static_cast<Field>(value);
}

void set_address(protobuf_c_boolean* has, ProtobufCBinaryData* field, const IpAddress& address) {
  if (!address.is_unspecified()) set(has, field, Bytes(address.data(), address.size()));
}

void set_port(protobuf_c_boolean* has, std::uint32_t* field, std::uint16_t port) {
  if (port != 0) set(has, field, port);
}

void set_query_time(Dnstap__Message* message, std::uint64_t us) {
  set(&message->has_query_time_sec, &message->query_time_sec, us / 1'000'000);
  set(&message->has_query_time_nsec, &message->query_time_nsec, us % 1'000'000 * 1000);
}

void set_response_time(Dnstap__Message* message, std::uint64_t us) {
  set(&message->has_response_time_sec, &message->response_time_sec, us / 1'000'000);
  set(&message->has_response_time_nsec, &message->response_time_nsec, us % 1'000'000 * 1000);
}

// "query" is who asks and "response" who answers, whatever the message is.
void set_ends(Dnstap__Message* message, const Endpoint& asks, const Endpoint& answers) {
  set_address(&message->has_query_address, &message->query_address, asks.ip);
  set_address(&message->has_response_address, &message->response_address, answers.ip);
  set_port(&message->has_query_port, &message->query_port, asks.port);
  set_port(&message->has_response_port, &message->response_port, answers.port);
}

Dnstap__Message make_message(DnstapType type, const QueryRing::Entry& entry) {
  const nameserver::QueryRecord& record = entry.record;
  const bool forwarder =
      type == DnstapType::kForwarderQuery || type == DnstapType::kForwarderResponse;
  const bool response =
      type == DnstapType::kClientResponse || type == DnstapType::kForwarderResponse;
  Dnstap__Message message = DNSTAP__MESSAGE__INIT;
  message.type = static_cast<Dnstap__Message__Type>(type);
  set(&message.has_socket_family, &message.socket_family,
      record.peer.ip.is_v4() ? DNSTAP__SOCKET_FAMILY__INET : DNSTAP__SOCKET_FAMILY__INET6);
  set(&message.has_socket_protocol, &message.socket_protocol,
      DNSTAP__SOCKET_PROTOCOL__UDP + record.transport);
  set_ends(&message, forwarder ? record.local : record.peer,
           forwarder ? record.peer : record.local);
  set_query_time(&message, record.begun_us);
  if (response) {
    set_response_time(&message, record.begun_us + record.took_us);
    set(&message.has_response_message, &message.response_message, entry.reply);
  } else {
    set(&message.has_query_message, &message.query_message, entry.query);
  }
  return message;
}

}  // namespace

void append_dnstap(std::string* out, DnstapType type, const QueryRing::Entry& entry,
                   std::string_view identity, std::string_view version) {
  Dnstap__Message message = make_message(type, entry);
  Dnstap__Dnstap whole = DNSTAP__DNSTAP__INIT;
  whole.type = DNSTAP__DNSTAP__TYPE__MESSAGE;
  whole.message = &message;
  set(&whole.has_version, &whole.version, as_bytes(version));
  if (!identity.empty()) set(&whole.has_identity, &whole.identity, as_bytes(identity));

  const std::size_t at = out->size();
  const std::size_t size = dnstap__dnstap__get_packed_size(&whole);
  out->resize(at + 4 + size);
  auto* const frame = reinterpret_cast<std::uint8_t*>(out->data() + at);
  store_u32(frame, static_cast<std::uint32_t>(size));
  dnstap__dnstap__pack(&whole, frame + 4);
}

}  // namespace postern::server
