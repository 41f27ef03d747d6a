#include "dns/types.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <utility>

#include <fmt/format.h>

namespace postern::dns {
namespace {

// Every type that a zone or a log of ours may name; the rest is TYPEnnn.
constexpr std::pair<std::uint16_t, std::string_view> kTypeNames[] = {
    {1, "A"},           {2, "NS"},        {3, "MD"},        {4, "MF"},       {5, "CNAME"},
    {6, "SOA"},         {7, "MB"},        {8, "MG"},        {9, "MR"},       {10, "NULL"},
    {11, "WKS"},        {12, "PTR"},      {13, "HINFO"},    {14, "MINFO"},   {15, "MX"},
    {16, "TXT"},        {17, "RP"},       {18, "AFSDB"},    {19, "X25"},     {20, "ISDN"},
    {21, "RT"},         {22, "NSAP"},     {23, "NSAP-PTR"}, {24, "SIG"},     {25, "KEY"},
    {26, "PX"},         {27, "GPOS"},     {28, "AAAA"},     {29, "LOC"},     {30, "NXT"},
    {31, "EID"},        {32, "NIMLOC"},   {33, "SRV"},      {34, "ATMA"},    {35, "NAPTR"},
    {36, "KX"},         {37, "CERT"},     {38, "A6"},       {39, "DNAME"},   {40, "SINK"},
    {41, "OPT"},        {42, "APL"},      {43, "DS"},       {44, "SSHFP"},   {45, "IPSECKEY"},
    {46, "RRSIG"},      {47, "NSEC"},     {48, "DNSKEY"},   {49, "DHCID"},   {50, "NSEC3"},
    {51, "NSEC3PARAM"}, {52, "TLSA"},     {53, "SMIMEA"},   {55, "HIP"},     {56, "NINFO"},
    {57, "RKEY"},       {58, "TALINK"},   {59, "CDS"},      {60, "CDNSKEY"}, {61, "OPENPGPKEY"},
    {62, "CSYNC"},      {63, "ZONEMD"},   {64, "SVCB"},     {65, "HTTPS"},   {66, "DSYNC"},
    {67, "HHIT"},       {68, "BRID"},     {99, "SPF"},      {104, "NID"},    {105, "L32"},
    {106, "L64"},       {107, "LP"},      {108, "EUI48"},   {109, "EUI64"},  {249, "TKEY"},
    {250, "TSIG"},      {251, "IXFR"},    {252, "AXFR"},    {253, "MAILB"},  {254, "MAILA"},
    {255, "ANY"},       {256, "URI"},     {257, "CAA"},     {258, "AVC"},    {259, "DOA"},
    {260, "AMTRELAY"},  {261, "RESINFO"}, {262, "WALLET"},  {32768, "TA"},   {32769, "DLV"},
};

constexpr std::pair<std::uint16_t, std::string_view> kRcodeNames[] = {
    {0, "NOERROR"}, {1, "FORMERR"}, {2, "SERVFAIL"}, {3, "NXDOMAIN"},
    {4, "NOTIMP"},  {5, "REFUSED"}, {6, "YXDOMAIN"}, {7, "YXRRSET"},
    {8, "NXRRSET"}, {9, "NOTAUTH"}, {10, "NOTZONE"}, {16, "BADVERS"},
};

bool equal_text(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](char x, char y) {
    const auto upper = [](char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 32) : c; };
    return upper(x) == upper(y);
  });
}

}  // namespace

std::string type_text(RrType type) {
  for (const auto& [number, name] : kTypeNames) {
    if (number == static_cast<std::uint16_t>(type)) return std::string(name);
  }
  return fmt::format("TYPE{}", static_cast<std::uint16_t>(type));
}

Result<RrType> parse_type(std::string_view text) {
  for (const auto& [number, name] : kTypeNames) {
    if (equal_text(text, name)) return static_cast<RrType>(number);
  }
  if (text.size() > 4 && equal_text(text.substr(0, 4), "TYPE")) {
    std::uint16_t number = 0;
    const char* end = text.data() + text.size();
    const auto [stop, error] = std::from_chars(text.data() + 4, end, number);
    if (error == std::errc{} && stop == end) return static_cast<RrType>(number);
  }
  return fail(Code::kMalformed, fmt::format("'{}' is not a record type", text));
}

std::string rcode_text(Rcode rcode) {
  for (const auto& [number, name] : kRcodeNames) {
    if (number == static_cast<std::uint16_t>(rcode)) return std::string(name);
  }
  return fmt::format("RCODE{}", static_cast<std::uint16_t>(rcode));
}

}  // namespace postern::dns
