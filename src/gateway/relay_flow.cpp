#include "gateway/relay_flow.h"

#include <algorithm>
#include <cerrno>
#include <utility>

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

namespace postern::gateway {
namespace {

constexpr std::size_t kSmallBytes = 16U << 10;  // a pipe is not worth it below this

bool is_temporary(int error_number) { return error_number == EAGAIN || error_number == EINTR; }

ssize_t move(int from, int to, std::size_t size) {
  return splice(from, nullptr, to, nullptr, size, SPLICE_F_NONBLOCK | SPLICE_F_MOVE);
}

}  // namespace

Pipe PipePool::take() {
  if (!kept_.empty()) {
    Pipe pipe = std::move(kept_.back());
    kept_.pop_back();
    return pipe;
  }
  int ends[2];
  if (pipe2(ends, O_NONBLOCK | O_CLOEXEC) != 0) return {};
  Pipe pipe{net::Fd(ends[0]), net::Fd(ends[1])};
  if (std::max(ends[0], ends[1]) >= fd_end_) return {};
  // Refused when this user has many pipes already (pipe(7)): a smaller one does as well.
  static_cast<void>(fcntl(ends[1], F_SETPIPE_SZ, static_cast<int>(kPipeBytes)));
  return pipe;
}

void PipePool::give(Pipe pipe) {
  if (kept_.size() < kKeptMax) kept_.push_back(std::move(pipe));
}

RelayFlow::Step RelayFlow::stop(State state) {
  state_ = state;
  return Step::kStop;
}

RelayFlow::Step RelayFlow::not_sent(int error_number) {
  if (is_temporary(error_number)) return stop(State::kBlocked);
  sink_error_ = error_number;
  return stop(State::kSinkBroken);
}

RelayFlow::Step RelayFlow::flush_pipe(int sink, PipePool& pipes) {
  while (piped_ > 0) {
    const ssize_t sent = move(pipe_.read.get(), sink, piped_);
    if (sent < 0) return not_sent(errno);
    piped_ -= static_cast<std::size_t>(sent);
  }
  if (pipe_) pipes.give(std::move(pipe_));
  return Step::kMore;
}

RelayFlow::Step RelayFlow::flush(int sink, PipePool& pipes) {
  while (unsent_at_ < unsent_.size()) {
    const ssize_t sent = send(sink, unsent_.data() + unsent_at_, unsent_.size() - unsent_at_,
                              MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent < 0) return not_sent(errno);
    unsent_at_ += static_cast<std::size_t>(sent);
  }
  if (!unsent_.empty()) {
    std::vector<std::uint8_t>().swap(unsent_);  // gives the memory back
    unsent_at_ = 0;
  }
  return flush_pipe(sink, pipes);
}

// The source had an end, an error or nothing.
RelayFlow::Step RelayFlow::no_bytes(long result, int error_number) {
  if (result == 0) {
    source_ended_ = true;
    return Step::kMore;
  }
  return stop(is_temporary(error_number) ? State::kOpen : State::kSourceBroken);
}

RelayFlow::Step RelayFlow::copy(int source, int sink, MutableBytes scratch) {
  const ssize_t got = recv(source, scratch.data(), scratch.size(), MSG_DONTWAIT);
  if (got <= 0) return no_bytes(got, errno);
  const auto size = static_cast<std::size_t>(got);
  bytes_ += size;
  bulk_ = size == scratch.size();
  ssize_t sent = send(sink, scratch.data(), size, MSG_NOSIGNAL | MSG_DONTWAIT);
  if (sent < 0) {
    if (!is_temporary(errno)) return not_sent(errno);
    sent = 0;
  }
  if (sent < got) {
    const Bytes rest = scratch.first(size).subspan(static_cast<std::size_t>(sent));
    unsent_.assign(rest.begin(), rest.end());
    return stop(State::kBlocked);
  }
  return bulk_ ? Step::kMore : stop(State::kOpen);
}

// REQUIRES: pipe_ is empty, so that a full pipe is not mistaken for a source that has nothing.
RelayFlow::Step RelayFlow::fill_pipe(int source, PipePool& pipes) {
  const ssize_t got = move(source, pipe_.write.get(), PipePool::kPipeBytes);
  if (got <= 0) {
    const int error_number = errno;
    pipes.give(std::move(pipe_));
    return no_bytes(got, error_number);
  }
  piped_ = static_cast<std::size_t>(got);
  bytes_ += piped_;
  bulk_ = piped_ >= kSmallBytes;
  return Step::kMore;
}

RelayFlow::Step RelayFlow::read(int source, int sink, const FlowTools& tools) {
  if (bulk_ && !pipe_) pipe_ = tools.pipes.take();
  return pipe_ ? fill_pipe(source, tools.pipes) : copy(source, sink, tools.scratch);
}

RelayFlow::State RelayFlow::pump(int source, int sink, const FlowTools& tools) {
  if (state_ != State::kOpen && state_ != State::kBlocked) return state_;
  state_ = State::kOpen;
  for (int round = 0; round <= kRoundsMax; ++round) {
    if (flush(sink, tools.pipes) == Step::kStop) return state_;
    if (source_ended_) {
      if (source_reset_) return state_ = State::kSourceBroken;
      // Fails when the sink is gone already; then its own flow says so.
      static_cast<void>(shutdown(sink, SHUT_WR));
      return state_ = State::kEnded;
    }
    if (round < kRoundsMax && read(source, sink, tools) == Step::kStop) return state_;
  }
  return state_;
}

}  // namespace postern::gateway
