#include "http/h1_body.h"

#include <algorithm>

namespace postern::http::h1 {

void BodyReader::start(BodyLength length) {
  kind_ = length.kind;
  left_ = length.kind == BodyLength::Kind::kKnown ? length.bytes : 0;
  const bool empty =
      kind_ == BodyLength::Kind::kNone || (kind_ == BodyLength::Kind::kKnown && left_ == 0);
  state_ = empty ? Progress::kDone : Progress::kMore;
  fault_ = {};
  chunked_.start();
}

BodyPiece BodyReader::feed(Bytes input) {
  if (state_ != Progress::kMore) return {state_, {}, 0};
  if (kind_ == BodyLength::Kind::kKnown) return feed_known(input);
  if (kind_ == BodyLength::Kind::kToClose) return {Progress::kMore, input, input.size()};
  const BodyPiece piece = chunked_.feed(input);
  state_ = piece.progress;
  fault_ = chunked_.fault();
  return piece;
}

BodyPiece BodyReader::feed_known(Bytes input) {
  const std::size_t size = std::min<std::uint64_t>(left_, input.size());
  left_ -= size;
  if (left_ == 0) state_ = Progress::kDone;
  return {state_, input.first(size), size};
}

Progress BodyReader::end_of_input() {
  if (state_ != Progress::kMore) return state_;
  if (kind_ == BodyLength::Kind::kToClose) {
    state_ = Progress::kDone;
  } else {
    state_ = Progress::kFault;
    fault_ = {400, "body ends before its end"};
  }
  return state_;
}

}  // namespace postern::http::h1
