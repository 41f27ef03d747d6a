// Edits of the configuration with its zones and certificates are taken up as one change, all or
// nothing: what is read anew, and whether there is anything new in it. A pair that is renewed
// is taken up by itself, too, whatever else is refused: it expires. Any thread; takes as long as
// reading the files.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "server/snapshot.h"

namespace postern::server {

/// A change that was refused: its files as they were. Empty: there is none.
using RefusedChange = std::vector<ReadFiles>;

/// Do the files hold what is neither served nor what was refused before?
bool is_news(const Snapshot& served, const RefusedChange& refused);

/// For watching.
std::vector<std::string> files_of(const RefusedChange& refused);

}  // namespace postern::server
