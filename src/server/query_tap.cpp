#include "server/query_tap.h"

#include <cerrno>
#include <chrono>
#include <csignal>
#include <system_error>
#include <utility>

#include "base/clock.h"
#include "server/dnstap.h"
#include "server/frame_control.h"
#include "server/frame_socket.h"
#include "server/query_line.h"

namespace postern::server {
namespace {

using nameserver::QueryRing;

constexpr std::size_t kFlushBytes = 32U << 10;
constexpr std::size_t kRecordsAtOnce = 4096;  // of one ring, before the others get their turn
constexpr std::chrono::milliseconds kBusyWait{5}, kIdleWait{100};
constexpr std::uint64_t kFinishMs = 500;
constexpr std::uint64_t kFailureLogMs = 60'000;
constexpr std::string_view kVersion = "postern " POSTERN_VERSION;

void block_signals() {
  sigset_t all;
  sigfillset(&all);
  pthread_sigmask(SIG_BLOCK, &all, nullptr);
}

std::string_view text_of(const fmt::memory_buffer& buffer) {
  return {buffer.data(), buffer.size()};
}

}  // namespace

/// What is written to, and how much was. The thread's own once it has them.
struct QueryTap::Sinks {
  QueryTapSettings settings;
  std::unique_ptr<RotatingFile> log;
  std::unique_ptr<RotatingFile> dnstap_file;
  std::unique_ptr<FrameSocket> dnstap_socket;
  fmt::memory_buffer lines;  // for `log`
  std::uint64_t line_count = 0;
  fmt::memory_buffer events;  // for the program's log
  std::string frames;         // for `dnstap_file`
  std::uint64_t frame_count = 0;
  std::string frame;
  QueryTapCounts counts;
  LogLimit failure_log{kFailureLogMs};

  void take(const QueryRing::Entry& entry);
  void add_frame(DnstapType type, const QueryRing::Entry& entry);
  void flush();
  void turn();
  void reopen();
  void end();
  void failed(const RotatingFile& file);
  QueryTapCounts all_counts() const;
};

void QueryTap::Sinks::failed(const RotatingFile& file) {
  const int error = errno;
  std::uint64_t held_back = 0;
  if (!failure_log.allow(monotonic_ms(), &held_back)) return;
  log_error("query_log_failed", "{}: {}; lines are lost until that is better{}",
            file.settings().path, std::generic_category().message(error),
            LogLimit::text(held_back));
}

void QueryTap::Sinks::add_frame(DnstapType type, const QueryRing::Entry& entry) {
  frame.clear();
  append_dnstap(&frame, type, entry, settings.dnstap.identity, kVersion);
  ++counts.frames;
  if (dnstap_socket != nullptr) dnstap_socket->add(frame);
  if (dnstap_file == nullptr) return;
  frames += frame;
  ++frame_count;
}

void QueryTap::Sinks::take(const QueryRing::Entry& entry) {
  const bool is_client = entry.record.kind == nameserver::QueryRecord::Kind::kClient;
  if (is_client && log != nullptr) {
    append_query_line(lines, settings.log.format, entry);
    ++line_count;
  }
  if (is_client && settings.lines && log_enabled(LogLevel::kInfo)) {
    append_query_event(events, entry);
  }
  if (settings.dnstap.is_on() && is_client && settings.dnstap.client) {
    add_frame(DnstapType::kClientQuery, entry);
    if (!entry.reply.empty()) add_frame(DnstapType::kClientResponse, entry);
  }
  if (settings.dnstap.is_on() && !is_client && settings.dnstap.forwarder) {
    if (!entry.query.empty()) add_frame(DnstapType::kForwarderQuery, entry);
    if (!entry.reply.empty()) add_frame(DnstapType::kForwarderResponse, entry);
  }
  if (lines.size() + events.size() + frames.size() > kFlushBytes) flush();
}

void QueryTap::Sinks::flush() {
  if (line_count != 0) {
    const bool good = log->write(text_of(lines));
    (good ? counts.log_lines : counts.log_lost) += line_count;
    if (!good) failed(*log);
    lines.clear();
    line_count = 0;
  }
  if (events.size() != 0) {
    write_log_lines(text_of(events));
    events.clear();
  }
  if (frame_count != 0) {
    if (!dnstap_file->write(frames)) {
      counts.file_lost += frame_count;
      failed(*dnstap_file);
    }
    frames.clear();
    frame_count = 0;
  }
}

void QueryTap::Sinks::turn() {
  flush();
  if (dnstap_socket == nullptr) return;
  const bool was_connected = dnstap_socket->is_connected();
  dnstap_socket->turn(monotonic_ms());
  if (was_connected == dnstap_socket->is_connected()) return;
  log_info("dnstap", "{} {}", was_connected ? "lost the reader at" : "sends to",
           dnstap_socket->path());
}

void QueryTap::Sinks::reopen() {
  for (RotatingFile* const file : {log.get(), dnstap_file.get()}) {
    if (file != nullptr && !file->reopen()) failed(*file);
  }
}

void QueryTap::Sinks::end() {
  flush();
  if (dnstap_socket != nullptr) dnstap_socket->end(kFinishMs);
}

QueryTapCounts QueryTap::Sinks::all_counts() const {
  QueryTapCounts all = counts;
  if (log != nullptr) all.log_rotations += log->rotations();
  if (dnstap_socket == nullptr) return all;
  all.socket_lost += dnstap_socket->lost();
  all.connected = dnstap_socket->is_connected();
  return all;
}

QueryTap::QueryTap(unsigned workers) {
  for (unsigned i = 0; i < workers; ++i) rings_.push_back(std::make_unique<QueryRing>());
}

QueryTap::~QueryTap() {
  if (!thread_.joinable()) return;
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_one();
  thread_.join();
}

Result<std::shared_ptr<QueryTap::Sinks>> QueryTap::make_sinks(const QueryTapSettings& settings) {
  auto sinks = std::make_shared<Sinks>();
  sinks->settings = settings;
  if (const QueryLogSettings& log = settings.log; !log.file.empty()) {
    auto file = RotatingFile::open({log.file, log.rotate_bytes, log.keep, "", ""});
    if (!file) return fail(file.error().code, "dns.query_log.file: " + file.error().detail);
    sinks->log = std::move(*file);
  }
  const DnstapSettings& dnstap = settings.dnstap;
  if (!dnstap.file.empty()) {
    auto file = RotatingFile::open({dnstap.file, dnstap.rotate_bytes, dnstap.keep,
                                    control_frame(FrameControl::kStart),
                                    control_frame(FrameControl::kStop)});
    if (!file) return fail(file.error().code, "dns.dnstap.file: " + file.error().detail);
    sinks->dnstap_file = std::move(*file);
  }
  if (!dnstap.socket.empty()) sinks->dnstap_socket = std::make_unique<FrameSocket>(dnstap.socket);
  return sinks;
}

void QueryTap::want(std::uint8_t wanted) {
  for (const auto& ring : rings_) ring->want(wanted);
}

Result<void> QueryTap::configure(const QueryTapSettings& settings) {
  const std::unique_lock lock(mutex_);
  if (settings == settings_) {
    reopen_ = thread_.joinable();
    return {};
  }
  auto sinks = make_sinks(settings);
  if (!sinks) return tl::unexpected(sinks.error());
  settings_ = settings;
  next_ = std::move(*sinks);
  std::uint8_t wanted = QueryRing::kNothing;
  if (settings.lines || !settings.log.file.empty()) wanted |= QueryRing::kLines;
  if (settings.dnstap.is_on() && settings.dnstap.client) wanted |= QueryRing::kMessages;
  if (settings.dnstap.is_on() && settings.dnstap.forwarder) wanted |= QueryRing::kForwarder;
  want(wanted);
  if (!thread_.joinable()) thread_ = std::thread([this] { run(); });
  return {};
}

QueryTapCounts QueryTap::counts() const {
  const std::lock_guard lock(mutex_);
  QueryTapCounts counts = counts_;
  for (const auto& ring : rings_) counts.dropped += ring->dropped();
  return counts;
}

// True when there was something to take.
bool QueryTap::drain(Sinks* sinks) {
  bool any = false;
  QueryRing::Entry entry;
  for (const auto& ring : rings_) {
    for (std::size_t i = 0; i < kRecordsAtOnce && ring->front(&entry); ++i) {
      sinks->take(entry);
      ring->pop();
      any = true;
    }
  }
  sinks->turn();
  return any;
}

void QueryTap::run() {
  block_signals();
  std::unique_lock lock(mutex_);
  // Workers may have been quicker than this thread: what is in the rings is for these.
  std::shared_ptr<Sinks> sinks = std::exchange(next_, nullptr);
  for (;;) {
    const bool last = stopping_;
    const bool reopen = std::exchange(reopen_, false);
    std::shared_ptr<Sinks> next = std::move(next_);
    next_ = nullptr;
    lock.unlock();
    bool any = drain(sinks.get());
    if (reopen) sinks->reopen();
    if (next != nullptr) {
      sinks->end();
      next->counts = sinks->all_counts();
      sinks = std::move(next);
    }
    while (last && any) any = drain(sinks.get());
    if (last) sinks->end();
    const QueryTapCounts counts = sinks->all_counts();
    lock.lock();
    counts_ = counts;
    if (last) return;
    wake_.wait_for(lock, any ? kBusyWait : kIdleWait,
                   [this] { return stopping_ || reopen_ || next_ != nullptr; });
  }
}

}  // namespace postern::server
