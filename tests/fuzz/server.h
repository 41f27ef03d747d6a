// A nameserver's policies with everything in them, and what has to hold for every reply.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/address.h"
#include "base/bytes.h"
#include "dns/answer.h"
#include "wire.h"

namespace postern::fuzz {

/// One configuration with a cache of its own.
struct World {
  std::unique_ptr<const dns::Policy> policy;
  std::unique_ptr<dns::Cache> cache;
  bool strips_h3 = true;          ///< everywhere
  bool preserves_signed = false;  ///< for clients with DO
  bool guards_rebinding = true;
};

/// By number, modulo how many there are. Made once.
World& world(std::size_t number);

/// 0 and 1: no view and the view "kids"; 2: IPv6; 3: not allowed.
IpAddress client(unsigned number);

/// Gives a response the header and question that let it pass; the rest stays.
void fit_to_question(const dns::ForwardQuestion& question, std::vector<std::uint8_t>* response);

/// What has to hold for a reply.
class ReplyCheck {
 public:
  ReplyCheck(const World& world, Bytes query, Bytes reply, const dns::Decision& decision,
             bool stream, const IpAddress& client)
      : world_(world),
        query_bytes_(query),
        reply_bytes_(reply),
        decision_(decision),
        stream_(stream),
        client_(client) {}

  void run();

 private:
  bool asks_one_question() const;
  void check_header();
  void check_question();
  void check_edns();
  void check_size();
  void check_chain();
  void check_ttls();
  void check_addresses();
  void check_services();
  void check_service(const WireRecord& record);
  bool any_name_below(const std::string& parent) const;

  const World& world_;
  Bytes query_bytes_;
  Bytes reply_bytes_;
  const dns::Decision& decision_;
  bool stream_;
  const IpAddress& client_;
  bool query_reads_ = false;
  WireMessage query_;
  WireMessage reply_;
};

}  // namespace postern::fuzz
