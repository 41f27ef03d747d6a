#include "http/h2_options.h"

#include <nghttp2/nghttp2.h>

#include <cstdint>

namespace postern::http::h2 {
namespace {

constexpr std::size_t kContinuationsMin = 8;
constexpr std::size_t kHeadBytesAdded = 64U << 10;
constexpr std::size_t kFrameBytesMax = 16U << 10;  // RFC 9113 section 4.2; we ask for no more

}  // namespace

void OptionsFree::operator()(nghttp2_option* options) const { nghttp2_option_del(options); }

Options make_options(std::size_t header_bytes_max) {
  nghttp2_option* made = nullptr;
  nghttp2_option_new(&made);
  Options options(made);
  nghttp2_option_set_no_auto_window_update(made, 1);
  nghttp2_option_set_no_closed_streams(made, 1);
  nghttp2_option_set_max_outbound_ack(made, kFramesQueuedMax);
  nghttp2_option_set_max_settings(made, 32);
  nghttp2_option_set_max_deflate_dynamic_table_size(made, 4096);
  nghttp2_option_set_peer_max_concurrent_streams(made, 100);
  // What is too large by no more than kHeaderBombFactor gets an answer.
  nghttp2_option_set_max_continuations(
      made, kContinuationsMin + kHeaderBombFactor * header_bytes_max / kFrameBytesMax);
  // What one side may say is said to the other, with what we add; nghttp2 reckons with the worst.
  nghttp2_option_set_max_send_header_block_length(made, kHeadBytesAdded + 2 * header_bytes_max);
  // AbuseMeter counts these by the caller's clock.
  nghttp2_option_set_stream_reset_rate_limit(made, UINT32_MAX, UINT32_MAX);
  nghttp2_option_set_builtin_recv_extension_type(made, NGHTTP2_PRIORITY_UPDATE);
  return options;
}

}  // namespace postern::http::h2
