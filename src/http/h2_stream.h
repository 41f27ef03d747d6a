// One stream as a connection of either side keeps it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "base/recycler.h"
#include "http/h2_client.h"
#include "http/h2_queue.h"
#include "http/h2_server.h"
#include "http/head.h"

namespace postern::http::h2 {

struct Stream : Recycled {
  explicit Stream(std::int32_t stream_id) : id(stream_id) {}

  std::int32_t id;
  ServerStream* server = nullptr;  ///< the owner on this side of a connection, or
  ClientStream* client = nullptr;  ///< on that side; neither: nobody listens any more

  ByteQueue out;
  Bytes lent;                             ///< behind `out`, the owner's memory
  std::unique_ptr<OwnedFields> trailers;  ///< to be sent behind `out`
  std::size_t unconsumed = 0;             ///< of the body that was handed over
  std::size_t window = 0;                 ///< that the peer was given; 0: that of the settings
  std::size_t passed_on = 0;              ///< of the body since the window last grew
  unsigned interims = 0;                  ///< server: 1xx heads that have not left
  std::size_t interim_bytes = 0;          ///< of them

  bool responded : 1 = false;    ///< server: the final head was given; client: it came
  bool head_sent : 1 = false;    ///< handed to the caller of collect(), at least in part
  bool ended : 1 = false;        ///< body_end() was called, or no body is to follow
  bool waiting : 1 = false;      ///< nghttp2 waits for resume_data()
  bool sent_end : 1 = false;     ///< END_STREAM went out
  bool got_end : 1 = false;      ///< END_STREAM came
  bool reset : 1 = false;        ///< by the owner: nothing more is told but closed()
  bool peer_reset : 1 = false;   ///< RST_STREAM came
  bool refused : 1 = false;      ///< by us, for what the peer did; the same
  bool dropping : 1 = false;     ///< the body that comes is of no interest
  bool stop_behind : 1 = false;  ///< RST_STREAM NO_ERROR behind END_STREAM
  std::uint64_t left = 0;        ///< client: of a body whose length is known
  bool counted : 1 = false;      ///< client: it is
  bool to_head : 1 = false;      ///< client: the method is HEAD

  bool over() const { return reset || refused; }
  std::size_t unsent() const { return out.size() + lent.size(); }
  /// Copies the first bytes and removes them. REQUIRES: there are so many.
  void take(MutableBytes to);
  void drop_unsent();
};

/// The streams of a connection by id; they are opened in ascending order.
class StreamTable {
 public:
  std::size_t size() const { return streams_.size(); }
  bool empty() const { return streams_.empty(); }
  Stream* find(std::int32_t id) const;
  /// REQUIRES: id is above all others
  Stream& add(std::int32_t id);
  /// nullptr when there is none of that id
  std::unique_ptr<Stream> remove(std::int32_t id);
  std::unique_ptr<Stream> remove_last();

 private:
  std::size_t position(std::int32_t id) const;

  std::vector<std::unique_ptr<Stream>> streams_;
  std::vector<std::int32_t> ids_;  // theirs: a search touches no stream but the one it finds
};

}  // namespace postern::http::h2
