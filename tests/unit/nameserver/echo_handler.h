// A QueryHandler for tests of transports: what a query says decides what comes back.
#pragma once

#include <algorithm>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "nameserver/transport.h"

namespace postern::test {

/// "later..." is kept in `waiting`; "drop..." is dropped; "big..." is answered with 65535 bytes of
/// 'b' (or what there is room for); anything else is answered with "re:" and itself.
class EchoHandler : public nameserver::QueryHandler {
 public:
  struct Waiting {
    std::string query;
    std::unique_ptr<nameserver::ReplyPath> path;

    void answer() const { path->send(as_bytes("re:" + query)); }
  };
  std::vector<Waiting> waiting;
  std::vector<Endpoint> peers;
  std::size_t calls = 0;

  std::size_t handle(Bytes query, const nameserver::Client& client, MutableBytes reply,
                     nameserver::ReplyLater& later) override {
    ++calls;
    peers.push_back(client.peer);
    const std::string text(as_text(query));
    if (text.starts_with("drop")) return 0;
    if (text.starts_with("later")) {
      waiting.push_back({text, later.keep()});
      return 0;
    }
    if (text.starts_with("big")) {
      std::fill(reply.begin(), reply.end(), 'b');
      return reply.size();
    }
    const std::string answer = "re:" + text;
    std::copy(answer.begin(), answer.end(), reply.begin());
    return answer.size();
  }
};

}  // namespace postern::test
