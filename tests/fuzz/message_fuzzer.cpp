// The message reader and writer: one byte that chooses the writer's limit, then a message.
#include <array>
#include <memory>
#include <string>
#include <vector>

#include "check.h"
#include "dns/accept.h"
#include "dns/message.h"
#include "dns/query.h"
#include "dns/response.h"
#include "wire.h"

namespace postern::fuzz {
namespace {

using dns::Name;
using dns::NameView;

constexpr std::size_t kRecordsMax = 200;  // looked at; more of them show nothing new

struct OwnedRecord {
  dns::Section section{};
  Name owner;
  dns::RrType type{};
  std::uint16_t klass = 0;
  std::uint32_t ttl = 0;
  std::vector<std::uint8_t> rdata;

  friend bool operator==(const OwnedRecord& a, const OwnedRecord& b) {
    return a.section == b.section && a.owner == b.owner && a.type == b.type && a.klass == b.klass &&
           a.ttl == b.ttl && a.rdata == b.rdata;
  }
};

std::string lower_text(NameView name) { return Name(name).lower_wire(); }

void check_name(NameView name) {
  require(!name.wire().empty() && name.size() <= dns::kNameBytesMax, "a name has 1 to 255 bytes");
  const auto parsed = Name::parse(dns::name_text(name));
  require(parsed.has_value() && equal_bytes(parsed->view().wire(), name.wire()),
          "a name's text stands for the name");
  const dns::LookupName lookup(name);
  require(as_text(lookup.name().wire()) == lower_text(name), "a LookupName is in lower case");
  require(lookup.label_count() == name.label_count(), "labels are counted alike");
  require(dns::hash_name(name) == lookup.hash(), "a name's hash does not know its case");
  require(dns::compare_names(name, lookup.name()) == 0, "nor does its order");
  NameView up = name;
  for (std::size_t i = 0; i <= lookup.label_count(); ++i) {
    require(dns::is_at_or_below(name, up), "a name is below each of its suffixes");
    require(dns::equal_names(lookup.suffix(i), up), "a suffix is a name without its first labels");
    if (!up.is_root()) up = up.parent();
  }
}

// The name at `*at`, read in both ways. False when malformed.
bool read_name(Bytes message, std::size_t* at, Name* out) {
  std::array<std::uint8_t, dns::kNameBytesMax> room;
  std::size_t read_to = *at;
  std::size_t skipped_to = *at;
  std::size_t walked_to = *at;
  std::string walked;
  const std::size_t size = dns::read_name(message, &read_to, room);
  const bool skips = dns::skip_name(message, &skipped_to);
  if (size == 0) return false;
  const NameView name(Bytes(room.data(), size));
  require(skips && read_to == skipped_to, "a name is skipped to where it is read to");
  require(walk_name(message, &walked_to, &walked), "a plain reader takes the name too");
  require(walked == lower_text(name) && walked_to == read_to, "and reads the same");
  check_name(name);
  *out = Name(name);
  *at = read_to;
  return true;
}

bool read_record(Bytes message, std::size_t* at, dns::Section section, OwnedRecord* out) {
  dns::RecordPosition position;
  if (!dns::read_record(message, *at, &position)) return false;
  require(position.end <= message.size() && position.rdata + position.rdata_size == position.end &&
              position.ttl_offset + 6 == position.rdata && position.owner == *at,
          "a record stands inside its message");
  if (!read_name(message, at, &out->owner)) return false;
  require(*at + 10 == position.rdata, "the data stands ten bytes behind the owner");
  std::vector<std::uint8_t> room(dns::kMessageBytesMax);
  const int size = dns::expand_rdata(message, position, room);
  if (size < 0) return false;
  const auto exact = std::make_unique<std::uint8_t[]>(static_cast<std::size_t>(size));
  const MutableBytes tight(exact.get(), static_cast<std::size_t>(size));
  require(dns::expand_rdata(message, position, tight) == size, "room of the exact size is enough");
  if (size > 0) {
    require(dns::expand_rdata(message, position, tight.first(tight.size() - 1)) == -1,
            "less room than the data takes is refused");
  }
  room.resize(static_cast<std::size_t>(size));
  *at = position.end;
  out->section = section;
  out->type = position.type;
  out->klass = position.klass;
  out->ttl = position.ttl;
  out->rdata = std::move(room);
  return true;
}

// Reads as far as the message is in order. True: all of it is.
bool read_message(Bytes message, std::vector<OwnedRecord>* records, Name* question) {
  const dns::Header header = dns::read_header(message);
  std::size_t at = dns::kHeaderBytes;
  for (int i = 0; i < header.count(dns::Section::kQuestion); ++i) {
    if (!read_name(message, &at, question) || at + 4 > message.size()) return false;
    at += 4;
  }
  for (const dns::Section section :
       {dns::Section::kAnswer, dns::Section::kAuthority, dns::Section::kAdditional}) {
    for (int i = 0; i < header.count(section); ++i) {
      OwnedRecord record;
      if (records->size() == kRecordsMax || !read_record(message, &at, section, &record)) {
        return false;
      }
      records->push_back(std::move(record));
    }
  }
  return true;
}

// Writes the records and reads back what was written.
void check_writer(const std::vector<OwnedRecord>& records, const Name& question,
                  std::size_t limit) {
  const auto room = std::make_unique<std::uint8_t[]>(limit);
  dns::MessageWriter writer(MutableBytes(room.get(), limit), limit);
  writer.start(0x4711, dns::kFlagQr);
  if (!writer.question(question.view(), dns::RrType::kA, dns::RrClass::kIn)) return;
  std::vector<OwnedRecord> written;
  for (const OwnedRecord& record : records) {
    const std::size_t before = writer.size();
    const auto klass = static_cast<dns::RrClass>(record.klass);
    if (writer.record(record.section, record.owner.view(), record.type, klass, record.ttl,
                      record.rdata)) {
      require(writer.size() > before && writer.size() <= limit, "a writer keeps to its limit");
      require(load_u32(room.get() + writer.last_ttl_offset()) == record.ttl, "a TTL is found");
      written.push_back(record);
    } else {
      require(writer.size() == before, "a record that does not fit changes nothing");
    }
  }
  const Bytes message = writer.finish();
  std::vector<OwnedRecord> read;
  Name name;
  require(read_message(message, &read, &name), "what was written can be read");
  require(equal_bytes(name.view().wire(), question.view().wire()), "the question too");
  std::stable_sort(written.begin(), written.end(), [](const OwnedRecord& a, const OwnedRecord& b) {
    return a.section < b.section;
  });
  // Sections are counted, not sorted: a record may be read in another one than it was written to.
  require(read.size() == written.size(), "all records are there");
  for (std::size_t i = 0; i < read.size(); ++i) {
    require(read[i] == written[i], "a record is read as it was written");
    const NameView owner = written[i].owner.view();
    require(owner.size() == question.view().size() ||
                equal_bytes(read[i].owner.view().wire(), owner.wire()),
            "its owner's case too, unless it is the question's name");
  }
}

// Types whose data expand_rdata() has to understand.
bool has_names(dns::RrType type) {
  constexpr std::array<std::uint16_t, 9> kTypes{2, 5, 6, 12, 15, 17, 18, 33, 39};
  return std::find(kTypes.begin(), kTypes.end(), static_cast<std::uint16_t>(type)) != kTypes.end();
}

bool is_address(const OwnedRecord& record) {
  return record.rdata.size() == (record.type == dns::RrType::kA ? 4U : 16U) &&
         (record.type == dns::RrType::kA || record.type == dns::RrType::kAaaa);
}

// Where ldns and we both read a message, we read the same. In the data of other types than these
// ldns 1.8.3 reads names past the end of the record and then goes on from there.
void check_against_ldns(Bytes message, const std::vector<OwnedRecord>& records) {
  if (!std::all_of(records.begin(), records.end(), [](const OwnedRecord& record) {
        return has_names(record.type) || is_address(record);
      })) {
    return;
  }
  std::vector<LdnsRecord> theirs;
  if (!ldns_records(message, &theirs)) return;
  require(theirs.size() == records.size(), "ldns reads as many records");
  for (std::size_t i = 0; i < records.size(); ++i) {
    const OwnedRecord& ours = records[i];
    require(theirs[i].owner == ours.owner.lower_wire(), "ldns reads the same owner");
    require(theirs[i].type == static_cast<std::uint16_t>(ours.type), "ldns reads the same type");
    require(theirs[i].ttl == ours.ttl, "ldns reads the same TTL");
    require(theirs[i].rdata == as_text(ours.rdata), "ldns reads the same data");
  }
}

void check_query(Bytes message) {
  dns::Query query;
  const dns::QueryFault fault = dns::parse_query(message, &query);
  if (fault == dns::QueryFault::kSilence) return;
  require(query.id == load_u16(message.data()), "the id is read");
  require(query.payload >= dns::kUdpPayloadMin, "every client takes 512 bytes");
  if (fault != dns::QueryFault::kNone) return;
  WireMessage walked;
  if (!walk_message(message, &walked)) return;  // names of records that nobody asks for are skipped
  require(walked.questions.size() == 1 && query.question_end() <= message.size(),
          "a query that is taken has one question");
  require(walked.questions[0].name == as_text(query.name.name().wire()), "its name is read");
  std::size_t opts = 0;
  for (const WireRecord& record : walked.records) opts += record.type == kTypeOpt ? 1 : 0;
  require(opts == (query.edns ? 1U : 0U), "EDNS is there when there is one OPT record");
}

void check_response(Bytes message) {
  dns::LookupName question;
  const std::size_t size = question.read(message, dns::kHeaderBytes);
  if (size == 0 || dns::kHeaderBytes + size + 4 > message.size()) return;
  const NameView name(message.subspan(dns::kHeaderBytes, size));
  const std::uint8_t* behind = message.data() + dns::kHeaderBytes + size;
  if (!dns::matches_question(message, load_u16(message.data()), name,
                             static_cast<dns::RrType>(load_u16(behind)),
                             static_cast<dns::RrClass>(load_u16(behind + 2)), true)) {
    return;
  }
  static const auto response = std::make_unique<dns::Response>();
  if (!response->parse(message, question)) return;
  std::array<std::uint8_t, dns::kNameBytesMax> room;
  for (const dns::ResponseRecord& record : response->records()) {
    const NameView owner = response->read_owner(record, room);
    const dns::LookupName lookup(owner);
    require(response->owner_is(record, dns::owner_at(lookup)), "a record has the owner it has");
  }
}

void run(Input input) {
  constexpr std::array<std::size_t, 4> kLimits{512, 1232, 4096, dns::kMessageBytesMax};
  const std::size_t limit = kLimits[input.take_u8() & 3];
  const ExactCopy copy(input.rest());
  const Bytes message = copy.bytes();
  check_query(message);
  if (message.size() < dns::kHeaderBytes) return;
  check_response(message);
  std::vector<OwnedRecord> records;
  Name question;
  const bool whole = read_message(message, &records, &question);
  check_writer(records, question, limit);
  if (whole) check_against_ldns(message, records);
}

}  // namespace
}  // namespace postern::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  postern::fuzz::run({data, size});
  return 0;
}
