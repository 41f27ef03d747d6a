// The ClientHello of a QUIC client as it comes together from datagrams: one that was cut and mixed
// up has the name that it was made with; any frames at all are read the same twice, in memory that
// is bounded.
#include <array>
#include <cstdlib>
#include <new>
#include <string>
#include <string_view>

#include <malloc.h>

#include "check.h"
#include "net/quic_initial.h"
#include "quic_seal.h"

namespace {

std::ptrdiff_t allocated_bytes = 0;

}  // namespace

// Counted, for what one QuicHello has.
void* operator new(std::size_t size) {
  void* const memory = std::malloc(size == 0 ? 1 : size);
  if (memory == nullptr) std::abort();
  allocated_bytes += static_cast<std::ptrdiff_t>(malloc_usable_size(memory));
  return memory;
}

void* operator new(std::size_t size, const std::nothrow_t& /*no*/) noexcept {
  return operator new(size);
}

void operator delete(void* memory) noexcept {
  allocated_bytes -= static_cast<std::ptrdiff_t>(malloc_usable_size(memory));
  std::free(memory);
}

void operator delete(void* memory, std::size_t) noexcept { operator delete(memory); }

namespace postern::fuzz {
namespace {

constexpr std::size_t kHelloBytesMax = 4096;  // of which some is read
constexpr std::ptrdiff_t kMemoryMax = 5120;
constexpr std::size_t kPieceMax = 1100;
constexpr std::size_t kDatagramsMax = 40;

using Buffer = std::vector<std::uint8_t>;

/// A QuicHello, and what is to be true of it after every datagram.
class Watched {
 public:
  bool add(Bytes datagram) {
    const std::string name_before = hello_.server_name();
    const bool complete_before = hello_.complete();
    const ExactCopy copy(datagram);
    const std::ptrdiff_t before = allocated_bytes;
    const bool taken = hello_.add(copy.bytes());
    held_ += allocated_bytes - before;
    require(held_ >= 0 && held_ <= kMemoryMax, "its memory is bounded");
    require(taken || (name() == name_before && complete() == complete_before),
            "what cannot be read changes nothing");
    check_name();
    return taken;
  }
  std::string name() const { return hello_.server_name(); }
  bool complete() const { return hello_.complete(); }
  bool says_as(const Watched& other) const {
    return name() == other.name() && complete() == other.complete();
  }

 private:
  void check_name() const {
    const std::string now = name();
    require(now.size() <= 253, "a name is no longer than names are");
    for (const char c : now) {
      require((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '-' || c == '_',
              "a name has only what host names have");
    }
  }

  net::QuicHello hello_;
  std::ptrdiff_t held_ = 0;
};

void append_u16(Buffer* to, std::size_t value) {
  to->push_back(static_cast<std::uint8_t>(value >> 8U));
  to->push_back(static_cast<std::uint8_t>(value));
}

void append(Buffer* to, Bytes more) { to->insert(to->end(), more.begin(), more.end()); }

void append_crypto(Buffer* to, Bytes hello, std::size_t at, std::size_t size) {
  to->push_back(6);
  append_u16(to, 0x4000 | at);
  append_u16(to, 0x4000 | size);
  append(to, hello.subspan(at, size));
}

std::string some_name(Input* input) {
  constexpr std::string_view kLetters =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ012345-.";
  std::string name;
  for (const std::uint8_t one : input->take(1 + input->take_u8() % 253)) {
    name += kLetters[one % kLetters.size()];
  }
  return name.empty() ? "a" : name;
}

/// RFC 8446 section 4.1.2, with server_name behind an empty extension and `tail` behind it.
Buffer client_hello(std::string_view name, Bytes tail) {
  Buffer extensions{0x0a, 0x0a, 0, 0, 0, 0};
  append_u16(&extensions, name.size() + 5);
  append_u16(&extensions, name.size() + 3);
  extensions.push_back(0);
  append_u16(&extensions, name.size());
  append(&extensions, as_bytes(name));
  append(&extensions, tail);
  Buffer body{3, 3};
  for (std::uint8_t i = 0; i < 32; ++i) body.push_back(static_cast<std::uint8_t>(0xf0U - i));
  append(&body, std::array<std::uint8_t, 7>{0, 0, 2, 0x13, 1, 1, 0});
  append_u16(&body, extensions.size());
  append(&body, extensions);
  Buffer hello{1, 0};
  append_u16(&hello, body.size());
  append(&hello, body);
  return hello;
}

/// Sealed datagrams of one connection.
class Sender {
 public:
  Sender(Watched* to, std::uint8_t options)
      : to_(to), version_2_((options & 1U) != 0), twice_((options & 2U) != 0) {}

  void send(Bytes frames) {
    static constexpr std::array<std::uint8_t, 8> kDestination{1, 2, 3, 4, 5, 6, 7, 8};
    ++number_;
    const InitialSettings settings{version_2_, kDestination, number_, 1 + number_ % 4};
    const Buffer datagram = seal_initial(settings, frames);
    for (int i = twice_ ? 2 : 1; i > 0; --i) require(to_->add(datagram), "a packet is read");
  }

 private:
  Watched* to_;
  bool version_2_, twice_;
  std::uint32_t number_ = 0;
};

// First pieces that the input wants, which may overlap, then all of it forwards or backwards: in
// any case everything has come.
void run_cut(std::uint8_t options, Input input) {
  std::string name = some_name(&input);
  const Buffer hello = client_hello(name, input.take(input.take_u16() % 6000));
  const std::size_t readable = std::min(hello.size(), kHelloBytesMax);
  Watched watched;
  Sender sender(&watched, options);
  Buffer frames;
  for (std::size_t i = 0; i < kDatagramsMax && !input.empty(); ++i) {
    const std::size_t at = input.take_u16() % readable;
    const std::size_t size = std::min<std::size_t>(input.take_u16() % kPieceMax, readable - at);
    if ((input.take_u8() & 1U) != 0 || frames.size() + size > kPieceMax) {
      sender.send(frames);
      frames.clear();
    }
    append_crypto(&frames, hello, at, size);
  }
  sender.send(frames);
  const std::size_t count = (readable + kPieceMax - 1) / kPieceMax;
  for (std::size_t i = 0; i < count; ++i) {
    const std::size_t at = kPieceMax * ((options & 4U) != 0 ? i : count - 1 - i);
    Buffer rest;
    append_crypto(&rest, hello, at, std::min(kPieceMax, readable - at));
    sender.send(rest);
  }
  for (char& c : name) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c;
  require(watched.name() == name, "the name is the one that was sent");
  require(watched.complete() == (hello.size() <= kHelloBytesMax), "complete when all has come");
}

/// The id that the client made up. REQUIRES: a packet that was read.
Buffer destination_of(Bytes datagram) {
  const Bytes id = datagram.subspan(6, datagram[5]);
  return {id.begin(), id.end()};
}

// Datagrams of up to four connections, sealed or as they are in the input.
void run_any(Input input) {
  Watched all, own;  // `own` begins anew with each connection
  Buffer connection;
  for (std::size_t i = 0; i < kDatagramsMax && !input.empty(); ++i) {
    const std::uint8_t options = input.take_u8();
    const Bytes block = input.take_block();
    Buffer datagram(block.begin(), block.end());
    if ((options & 0x80U) == 0) {
      const std::array<std::uint8_t, 20> id{static_cast<std::uint8_t>(options & 1U)};
      const std::size_t id_size = (options & 2U) != 0 ? id.size() : 8;
      const InitialSettings settings{(options & 4U) != 0, Bytes(id).first(id_size), options,
                                     1 + (options >> 4U & 3U)};
      datagram = seal_initial(settings, block.first(std::min<std::size_t>(block.size(), 1400)));
    }
    const bool taken = all.add(datagram);
    require(taken || (options & 0x80U) != 0, "a packet is read");
    if (!taken) continue;
    if (const Buffer id = destination_of(datagram); id != connection) {
      connection = id;
      own = Watched();
    }
    require(own.add(datagram) && own.says_as(all), "another connection begins anew");
    require(own.add(datagram) && own.says_as(all), "what comes twice changes nothing");
  }
}

void run(Input input) {
  const std::uint8_t options = input.take_u8();
  if ((options & 0x80U) != 0) {
    run_cut(options, input);
  } else {
    run_any(input);
  }
}

}  // namespace
}  // namespace postern::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  postern::fuzz::run({data, size});
  return 0;
}
