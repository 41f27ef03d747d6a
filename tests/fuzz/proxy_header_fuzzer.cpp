// PROXY protocol headers: read in any pieces they come to the same, nothing behind the header is
// taken, and what is written reads back.
#include <array>

#include "check.h"
#include "gateway/proxy_protocol.h"

namespace postern::fuzz {
namespace {

using gateway::ProxyHeaderReader;
using State = ProxyHeaderReader::State;

struct Outcome {
  State state = State::kMore;
  std::size_t taken = 0;
  gateway::ProxyHeader header;
};

Outcome read(Bytes data, std::size_t piece) {
  ProxyHeaderReader reader;
  Outcome outcome;
  while (reader.state() == State::kMore && outcome.taken < data.size()) {
    const std::size_t size = std::min(piece, data.size() - outcome.taken);
    const std::size_t wanted = reader.wanted();
    require(wanted > 0 && wanted <= gateway::kProxyHeaderReadMax, "a reader says what it wants");
    const std::size_t taken = reader.take(data.subspan(outcome.taken, size));
    require(taken <= size && (taken == size || reader.state() != State::kMore), "it takes all");
    outcome.taken += taken;
  }
  outcome.state = reader.state();
  outcome.header = reader.header();
  return outcome;
}

void run(Bytes data) {
  if (data.empty()) return;
  const ExactCopy copy(data.subspan(1));
  const Outcome whole = read(copy.bytes(), copy.bytes().size());
  const Outcome pieces = read(copy.bytes(), 1 + std::size_t{data[0]} % 40);
  require(whole.state == pieces.state, "pieces come to the same");
  if (whole.state != State::kDone) return;
  require(whole.taken == pieces.taken && whole.taken <= gateway::kProxyHeaderReadMax,
          "nothing behind the header is taken");
  require(whole.taken == 16U + load_u16(&copy.bytes()[14]), "the header has the size it says");
  require(whole.header.source == pieces.header.source, "pieces say the same");
  require(whole.header.source.has_value() == whole.header.destination.has_value(), "both or none");
  if (!whole.header.source) return;
  std::array<std::uint8_t, gateway::kProxyHeaderWrittenMax> out{};
  const std::size_t size =
      gateway::write_proxy_header(*whole.header.source, *whole.header.destination, out);
  const Outcome again = read(Bytes(out.data(), size), size);
  require(again.state == State::kDone && again.header.source == whole.header.source &&
              again.header.destination == whole.header.destination,
          "what is written reads back");
}

}  // namespace
}  // namespace postern::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  postern::fuzz::run({data, size});
  return 0;
}
