#include "server/frame_control.h"

#include <array>
#include <memory>

#include <fstrm.h>

#include "base/bytes.h"

namespace postern::server {
namespace {

constexpr std::string_view kContent = "protobuf:dnstap.Dnstap";
constexpr std::size_t kHeaderBytes = 8;  // the escape, which no data frame has as length; length

struct Destroy {
  void operator()(fstrm_control* control) const { fstrm_control_destroy(&control); }
};
using Control = std::unique_ptr<fstrm_control, Destroy>;

}  // namespace

std::string control_frame(FrameControl control) {
  const Control frame(fstrm_control_init());
  fstrm_control_set_type(frame.get(), static_cast<fstrm_control_type>(control));
  if (control != FrameControl::kStop && control != FrameControl::kFinish) {
    fstrm_control_add_field_content_type(frame.get(), as_bytes(kContent).data(), kContent.size());
  }
  std::array<char, FSTRM_CONTROL_FRAME_LENGTH_MAX + kHeaderBytes> text{};
  std::size_t size = text.size();
  fstrm_control_encode(frame.get(), text.data(), &size, FSTRM_CONTROL_FLAG_WITH_HEADER);
  return {text.data(), size};
}

bool read_control_frame(std::string_view data, FrameControl* control, std::size_t* size) {
  *size = 0;
  const Bytes bytes = as_bytes(data);
  if (bytes.size() >= 4 && load_u32(bytes.data()) != 0) return false;
  if (bytes.size() < kHeaderBytes) return true;
  const std::size_t body = load_u32(bytes.data() + 4);
  if (body > FSTRM_CONTROL_FRAME_LENGTH_MAX) return false;
  if (bytes.size() < kHeaderBytes + body) return true;

  const Control frame(fstrm_control_init());
  fstrm_control_type type{};
  if (fstrm_control_decode(frame.get(), bytes.data(), kHeaderBytes + body,
                           FSTRM_CONTROL_FLAG_WITH_HEADER) != fstrm_res_success ||
      fstrm_control_get_type(frame.get(), &type) != fstrm_res_success ||
      fstrm_control_match_field_content_type(frame.get(), as_bytes(kContent).data(),
                                             kContent.size()) != fstrm_res_success) {
    return false;
  }
  *control = static_cast<FrameControl>(type);
  *size = kHeaderBytes + body;
  return true;
}

}  // namespace postern::server
