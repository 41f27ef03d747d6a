#include "cli/record_text.h"

#include <array>

#include <fmt/format.h>

#include "base/address.h"
#include "dns/message.h"
#include "dns/name.h"

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

// `rdata` has its names written out in full.
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
    default:
      return unknown_form(rdata);
  }
}

}  // namespace

std::vector<std::string> answer_lines(Bytes message) {
  std::vector<std::string> lines;
  const dns::Header header = dns::read_header(message);
  std::size_t at = dns::kHeaderBytes;
  for (int i = 0; i < header.count(dns::Section::kQuestion); ++i) {
    if (!dns::skip_name(message, &at)) return lines;
    at += 4;
  }
  std::vector<std::uint8_t> buffer(dns::kMessageBytesMax);
  for (int i = 0; i < header.count(dns::Section::kAnswer); ++i) {
    dns::RecordPosition record;
    if (!dns::read_record(message, at, &record)) return lines;
    const int size = dns::expand_rdata(message, record, buffer);
    if (size < 0) return lines;
    std::size_t owner = record.owner;
    std::array<std::uint8_t, dns::kNameBytesMax> wire;
    const std::size_t owner_size = dns::read_name(message, &owner, wire);
    lines.push_back(
        fmt::format("{} {} IN {} {}", dns::name_text(dns::NameView(Bytes(wire).first(owner_size))),
                    record.ttl, dns::type_text(record.type),
                    rdata_text(record.type, Bytes(buffer).first(static_cast<std::size_t>(size)))));
    at = record.end;
  }
  return lines;
}

}  // namespace postern::cli
