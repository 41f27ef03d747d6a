#include "base/log.h"

#include <doctest/doctest.h>

namespace postern {

TEST_CASE("one line of text has no control bytes and keeps everything else") {
  CHECK(one_line("") == "");
  CHECK(one_line("a\tb\nc\x7f") == "a\\x09b\\x0ac\\x7f");
  CHECK(one_line("\x1b[31mred") == "\\x1b[31mred");
  CHECK(one_line("f\xc3\xbcr 'x' \\n") == "f\xc3\xbcr 'x' \\n");
}

}  // namespace postern
