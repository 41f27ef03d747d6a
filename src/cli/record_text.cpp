#include "cli/record_text.h"

#include <array>

#include <fmt/format.h>

#include "base/address.h"
#include "dns/message.h"
#include "dns/name.h"
#include "dns/svcb.h"

namespace postern::cli {
namespace {

std::string name_at(Bytes rdata, std::size_t offset) {
  std::array<std::uint8_t, dns::kNameBytesMax> wire;
  const std::size_t size = dns::read_name(rdata, &offset, wire);
  return size == 0 ? "?" : dns::name_text(dns::NameView(Bytes(wire).first(size)));
}

std::string texts(Bytes rdata) {
  std::string text;
  while (!rdata.empty() && rdata[0] < rdata.size()) {
    text += fmt::format("{}\"", text.empty() ? "" : " ");
    for (const std::uint8_t c : rdata.subspan(1, rdata[0])) {
      const bool plain = c >= 0x20 && c < 0x7f && c != '"' && c != '\\';
      text += plain ? std::string(1, static_cast<char>(c)) : fmt::format("\\{:03}", c);
    }
    text += '"';
    rdata = rdata.subspan(rdata[0] + 1U);
  }
  return text;
}

std::string unknown_form(Bytes rdata) {
  std::string text = fmt::format("\\# {}", rdata.size());
  for (std::size_t i = 0; i < rdata.size(); ++i)
    text += fmt::format("{}{:02x}", i == 0 ? " " : "", rdata[i]);
  return text;
}

std::string addresses(Bytes value, std::size_t size) {
  std::string text;
  for (; value.size() >= size; value = value.subspan(size)) {
    const IpAddress ip = size == 4 ? IpAddress::v4(value.data()) : IpAddress::v6(value.data());
    text += fmt::format("{}{}", text.empty() ? "" : ",", ip.to_string());
  }
  return text;
}

std::string alpn_text(Bytes value) {
  std::string text;
  while (!value.empty() && value[0] < value.size()) {
    text += fmt::format("{}{}", text.empty() ? "" : ",", as_text(value.subspan(1, value[0])));
    value = value.subspan(value[0] + 1U);
  }
  return text;
}

// REQUIRES: as it stands in a record that is well formed.
std::string param_text(std::uint16_t key, Bytes value) {
  std::string text = dns::svc_key_text(key);
  if (value.empty()) return text;
  switch (key) {
    case dns::kSvcAlpn:
      return fmt::format("{}=\"{}\"", text, alpn_text(value));
    case dns::kSvcPort:
      return fmt::format("{}={}", text, load_u16(value.data()));
    case dns::kSvcIpv4Hint:
      return fmt::format("{}={}", text, addresses(value, 4));
    case dns::kSvcIpv6Hint:
      return fmt::format("{}={}", text, addresses(value, 16));
    default:
      return fmt::format("{}=({} bytes)", text, value.size());
  }
}

std::string svcb_text(Bytes rdata) {
  if (!dns::svcb_well_formed(rdata)) return unknown_form(rdata);
  const dns::NameView target = dns::svcb_target(rdata);
  std::string text = fmt::format("{} {}", load_u16(rdata.data()), dns::name_text(target));
  for (Bytes rest = rdata.subspan(2 + target.size()); rest.size() >= 4;) {
    const std::size_t size = load_u16(rest.data() + 2);
    text += " " + param_text(load_u16(rest.data()), rest.subspan(4, size));
    rest = rest.subspan(4 + size);
  }
  return text;
}

std::string soa_text(Bytes rdata) {
  std::size_t at = 0;
  if (!dns::skip_name(rdata, &at)) return unknown_form(rdata);
  const std::size_t second = at;
  if (!dns::skip_name(rdata, &at) || rdata.size() < at + 20) return unknown_form(rdata);
  std::string text = name_at(rdata, 0) + " " + name_at(rdata, second);
  for (std::size_t i = 0; i < 20; i += 4) {
    text += fmt::format(" {}", load_u32(rdata.data() + at + i));
  }
  return text;
}

std::string srv_text(Bytes rdata) {
  if (rdata.size() < 7) return unknown_form(rdata);
  const std::uint8_t* bytes = rdata.data();
  return fmt::format("{} {} {} {}", load_u16(bytes), load_u16(bytes + 2), load_u16(bytes + 4),
                     name_at(rdata, 6));
}

}  // namespace

std::string rdata_text(dns::RrType type, Bytes rdata) {
  switch (type) {
    case dns::RrType::kA:
      return rdata.size() == 4 ? IpAddress::v4(rdata.data()).to_string() : unknown_form(rdata);
    case dns::RrType::kAaaa:
      return rdata.size() == 16 ? IpAddress::v6(rdata.data()).to_string() : unknown_form(rdata);
    case dns::RrType::kCname:
    case dns::RrType::kDname:
    case dns::RrType::kNs:
    case dns::RrType::kPtr:
      return name_at(rdata, 0);
    case dns::RrType::kMx:
      return rdata.size() < 3 ? unknown_form(rdata)
                              : fmt::format("{} {}", load_u16(rdata.data()), name_at(rdata, 2));
    case dns::RrType::kTxt:
      return texts(rdata);
    case dns::RrType::kHttps:
    case dns::RrType::kSvcb:
      return svcb_text(rdata);
    case dns::RrType::kSoa:
      return soa_text(rdata);
    case dns::RrType::kSrv:
      return srv_text(rdata);
    default:
      return unknown_form(rdata);
  }
}

namespace {

/// Calls `visit(record, rdata)` for the answer section; rdata has its names written out.
template <class Visit>
void for_each_answer(Bytes message, Visit visit) {
  if (message.size() < dns::kHeaderBytes) return;
  const dns::Header header = dns::read_header(message);
  std::size_t at = dns::kHeaderBytes;
  for (int i = 0; i < header.count(dns::Section::kQuestion); ++i) {
    if (!dns::skip_name(message, &at)) return;
    at += 4;
  }
  std::vector<std::uint8_t> buffer(dns::kMessageBytesMax);
  for (int i = 0; i < header.count(dns::Section::kAnswer); ++i) {
    dns::RecordPosition record;
    if (!dns::read_record(message, at, &record)) return;
    const int size = dns::expand_rdata(message, record, buffer);
    if (size < 0) return;
    visit(record, Bytes(buffer).first(static_cast<std::size_t>(size)));
    at = record.end;
  }
}

}  // namespace

std::vector<std::string> answer_lines(Bytes message) {
  std::vector<std::string> lines;
  for_each_answer(message, [&](const dns::RecordPosition& record, Bytes rdata) {
    lines.push_back(fmt::format("{} {} IN {} {}", name_at(message, record.owner), record.ttl,
                                dns::type_text(record.type), rdata_text(record.type, rdata)));
  });
  return lines;
}

std::vector<IpAddress> answer_addresses(Bytes message) {
  std::vector<IpAddress> found;
  for_each_answer(message, [&](const dns::RecordPosition& record, Bytes rdata) {
    if (record.type == dns::RrType::kA && rdata.size() == 4) {
      found.push_back(IpAddress::v4(rdata.data()));
    } else if (record.type == dns::RrType::kAaaa && rdata.size() == 16) {
      found.push_back(IpAddress::v6(rdata.data()));
    }
  });
  return found;
}

}  // namespace postern::cli
