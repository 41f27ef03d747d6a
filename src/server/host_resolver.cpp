#include "server/host_resolver.h"

#include <algorithm>
#include <array>
#include <utility>

#include <fmt/format.h>

#include "dns/message.h"
#include "dns/name.h"
#include "dns/types.h"
#include "net/timer.h"

namespace postern::server {
namespace {

constexpr std::array<dns::RrType, 2> kTypes{dns::RrType::kA, dns::RrType::kAaaa};

struct Answer {
  bool came = false;
  bool is_none = false;  ///< it says that there is no such name or record
  std::string text;      ///< what it was when it has no addresses
  std::vector<IpAddress> addresses;
  std::uint32_t ttl_s = HostResolver::kTtlMaxS;
};

bool has_suffix(std::string_view host, std::string_view suffix) {
  return host.size() > suffix.size() && host.ends_with(suffix);
}

// RFC 6761 section 6.3: localhost is this machine's own business.
bool is_for_nameserver(std::string_view host) {
  return host.find('.') != std::string_view::npos && !has_suffix(host, ".localhost");
}

void add_address(Bytes message, const dns::RecordPosition& record, dns::RrType type,
                 Answer* answer) {
  answer->ttl_s = std::min(answer->ttl_s, record.ttl);  // of a CNAME on the way, too
  if (record.type != type || answer->addresses.size() == HostResolver::kAddressesMax) return;
  const std::uint8_t* const rdata = message.data() + record.rdata;
  if (type == dns::RrType::kA && record.rdata_size == 4) {
    answer->addresses.push_back(IpAddress::v4(rdata));
  } else if (type == dns::RrType::kAaaa && record.rdata_size == 16) {
    answer->addresses.push_back(IpAddress::v6(rdata));
  }
}

Answer read_answer(Bytes message, dns::RrType type) {
  Answer answer;
  answer.came = true;
  answer.text = "an unreadable reply";
  std::size_t position = dns::kHeaderBytes;
  if (message.size() < dns::kHeaderBytes) return answer;
  const dns::Header header = dns::read_header(message);
  for (int i = 0; i < header.count(dns::Section::kQuestion); ++i) {
    if (!dns::skip_name(message, &position)) return answer;
    position += 4;
  }
  for (int i = 0; i < header.count(dns::Section::kAnswer); ++i) {
    dns::RecordPosition record;
    if (!dns::read_record(message, position, &record)) {
      answer.addresses.clear();
      return answer;
    }
    add_address(message, record, type, &answer);
    position = record.end;
  }
  const auto rcode = static_cast<dns::Rcode>(header.flags & dns::kRcodeMask);
  answer.text = rcode == dns::Rcode::kNoError ? "no address" : dns::rcode_text(rcode);
  answer.is_none =
      answer.addresses.empty() && (rcode == dns::Rcode::kNoError || rcode == dns::Rcode::kNxDomain);
  return answer;
}

std::uint32_t clamp_ttl(std::uint32_t ttl_s) {
  return std::clamp(ttl_s, HostResolver::kTtlMinS, HostResolver::kTtlMaxS);
}

}  // namespace

/// One name on its way. Its replies may come when it is gone: they know it by a weak pointer.
class HostResolver::Lookup : public std::enable_shared_from_this<Lookup> {
 public:
  Lookup(HostResolver& resolver, const std::string& host, Done done)
      : resolver_(resolver),
        host_(host),
        done_(std::move(done)),
        began_ms_(resolver.loop_.now_ms()),
        timer_(resolver.loop_, [this] { timed_out(); }),
        tell_(resolver.loop_, [this] { tell(); }) {
    ++resolver_.lookups_;
  }
  ~Lookup() { --resolver_.lookups_; }
  Lookup(const Lookup&) = delete;
  Lookup& operator=(const Lookup&) = delete;

  void start();

 private:
  enum class Stage : std::uint8_t { kNameserver, kSystem, kDone };
  class Path;
  class Later;

  void ask_nameserver(const dns::Name& name, std::size_t index);
  void replied(std::size_t index, Bytes message);
  void look_at_answers();
  bool use_answers();
  void ask_system();
  void system_replied(Result<SystemLookup::Addresses> result);
  void timed_out();
  std::string nameserver_text() const;
  void finish(Result<gateway::ResolvedHost> result);
  void fail_with(Code code, std::string_view system_text);
  void tell();

  HostResolver& resolver_;
  std::string host_;
  Done done_;
  Stage stage_ = Stage::kNameserver;
  std::uint64_t began_ms_;
  std::array<Answer, kTypes.size()> answers_;
  Result<gateway::ResolvedHost> result_ = fail(Code::kNotFound);
  net::Timer timer_;
  net::Deferred tell_;
};

class HostResolver::Lookup::Path final : public nameserver::ReplyPath {
 public:
  Path(std::weak_ptr<Lookup> lookup, std::size_t index)
      : lookup_(std::move(lookup)), index_(index) {}
  void send(Bytes reply) override {
    if (const auto lookup = lookup_.lock()) lookup->replied(index_, reply);
  }

 private:
  std::weak_ptr<Lookup> lookup_;
  std::size_t index_;
};

class HostResolver::Lookup::Later final : public nameserver::ReplyLater {
 public:
  Later(Lookup& lookup, std::size_t index) : lookup_(lookup), index_(index) {}
  std::unique_ptr<nameserver::ReplyPath> keep() override {
    kept_ = true;
    return std::make_unique<Path>(lookup_.weak_from_this(), index_);
  }
  bool kept() const { return kept_; }

 private:
  Lookup& lookup_;
  std::size_t index_;
  bool kept_ = false;
};

/// What the caller holds.
class HostResolver::OwnedLookup final : public Ticket {
 public:
  explicit OwnedLookup(std::shared_ptr<Lookup> lookup) : lookup_(std::move(lookup)) {}

 private:
  std::shared_ptr<Lookup> lookup_;
};

void HostResolver::Lookup::start() {
  if (resolver_.lookups_ > resolver_.settings_.lookups_max) {
    finish(fail(Code::kLimit, fmt::format("{}: too many names are being looked up", host_)));
    return;
  }
  if (host_.ends_with('.')) host_.pop_back();
  if (const auto address = IpAddress::parse(host_)) {
    finish(gateway::ResolvedHost{{*address}, kTtlMaxS});
    return;
  }
  const auto name = dns::Name::parse(host_);
  if (!name || !is_for_nameserver(host_)) {
    ask_system();
    return;
  }
  timer_.start_once(resolver_.settings_.nameserver_ms);
  for (std::size_t i = 0; i < kTypes.size(); ++i) ask_nameserver(*name, i);
  look_at_answers();
}

void HostResolver::Lookup::ask_nameserver(const dns::Name& name, std::size_t index) {
  std::array<std::uint8_t, 512> query;
  dns::MessageWriter writer(query, query.size());
  writer.start(0, dns::kFlagRd);
  writer.question(name.view(), kTypes[index], dns::RrClass::kIn);
  nameserver::Client client;
  client.peer.ip = *IpAddress::parse("127.0.0.1");
  client.transport = nameserver::Transport::kTcp;  // replies of any size
  client.internal = true;
  Later later(*this, index);
  const std::size_t size =
      resolver_.nameserver_.handle(writer.finish(), client, resolver_.reply_, later);
  if (size > 0) answers_[index] = read_answer(Bytes(resolver_.reply_.data(), size), kTypes[index]);
  if (size > 0 || later.kept()) return;
  answers_[index].came = true;
  answers_[index].text = "no reply";
}

void HostResolver::Lookup::replied(std::size_t index, Bytes message) {
  if (stage_ != Stage::kNameserver) return;
  answers_[index] = read_answer(message, kTypes[index]);
  look_at_answers();
}

void HostResolver::Lookup::look_at_answers() {
  const auto came = [](const Answer& answer) { return answer.came; };
  const auto useful = [](const Answer& answer) { return !answer.addresses.empty(); };
  if (std::all_of(answers_.begin(), answers_.end(), came)) {
    if (!use_answers()) ask_system();
  } else if (std::any_of(answers_.begin(), answers_.end(), useful)) {
    timer_.start_once(resolver_.settings_.second_family_ms);  // RFC 8305 section 3
  }
}

// False when there are no addresses.
bool HostResolver::Lookup::use_answers() {
  gateway::ResolvedHost host{{}, kTtlMaxS};
  for (const Answer& answer : answers_) {
    if (answer.addresses.empty()) continue;
    host.addresses.insert(host.addresses.end(), answer.addresses.begin(), answer.addresses.end());
    host.ttl_s = std::min(host.ttl_s, answer.ttl_s);
  }
  if (host.addresses.empty()) return false;
  host.ttl_s = clamp_ttl(host.ttl_s);
  finish(std::move(host));
  return true;
}

void HostResolver::Lookup::ask_system() {
  stage_ = Stage::kSystem;
  const std::uint64_t took_ms = resolver_.loop_.now_ms() - began_ms_;
  const std::uint64_t limit_ms = resolver_.settings_.limit_ms;
  timer_.start_once(limit_ms - std::min(took_ms, limit_ms));
  const auto done = [weak = weak_from_this()](Result<SystemLookup::Addresses> result) {
    if (const auto lookup = weak.lock()) lookup->system_replied(std::move(result));
  };
  if (!resolver_.system_.ask(host_, done)) fail_with(Code::kLimit, "too many names wait for it");
}

void HostResolver::Lookup::system_replied(Result<SystemLookup::Addresses> result) {
  if (stage_ != Stage::kSystem) return;
  if (result) {
    finish(gateway::ResolvedHost{std::move(*result), kSystemTtlS});
  } else {
    fail_with(result.error().code, result.error().detail);
  }
}

void HostResolver::Lookup::timed_out() {
  if (stage_ == Stage::kSystem) {
    fail_with(Code::kLimit, "no answer in time");
  } else if (stage_ == Stage::kNameserver && !use_answers()) {
    ask_system();
  }
}

std::string HostResolver::Lookup::nameserver_text() const {
  if (!is_for_nameserver(host_)) return {};
  const auto text = [](const Answer& answer) {
    return answer.came ? std::string_view(answer.text) : std::string_view("no answer in time");
  };
  return fmt::format("our nameserver says {} (A) and {} (AAAA), ", text(answers_[0]),
                     text(answers_[1]));
}

// Whatever the system says: our nameserver knows that there is no address.
void HostResolver::Lookup::fail_with(Code code, std::string_view system_text) {
  const auto is_none = [](const Answer& answer) { return answer.is_none; };
  if (std::all_of(answers_.begin(), answers_.end(), is_none)) code = Code::kNotFound;
  finish(
      fail(code, fmt::format("{}: {}the system says: {}", host_, nameserver_text(), system_text)));
}

void HostResolver::Lookup::finish(Result<gateway::ResolvedHost> result) {
  stage_ = Stage::kDone;
  timer_.stop();
  result_ = std::move(result);
  tell_.schedule();
}

void HostResolver::Lookup::tell() {
  const auto keep = shared_from_this();  // done() may drop the ticket
  const Done done = std::move(done_);
  done(std::move(result_));
}

HostResolver::HostResolver(net::Loop& loop, nameserver::QueryHandler& nameserver,
                           const HostResolverSettings& settings)
    : loop_(loop),
      nameserver_(nameserver),
      settings_(settings),
      reply_(dns::kMessageBytesMax),
      system_(loop, settings.system) {}

HostResolver::~HostResolver() = default;

std::unique_ptr<gateway::HostResolver::Ticket> HostResolver::resolve(const std::string& host,
                                                                     Done done) {
  auto lookup = std::make_shared<Lookup>(*this, host, std::move(done));
  lookup->start();
  return std::make_unique<OwnedLookup>(std::move(lookup));
}

}  // namespace postern::server
