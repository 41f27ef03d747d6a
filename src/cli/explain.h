// `postern explain`: what would be said to whom, and which line of the configuration says so. From
// the configuration alone: nothing is asked of anybody.
#pragma once

#include <string>

#include "server/explanation.h"

namespace postern::cli {

/// Invalid: the question is wrong.
Result<server::Explanation> explanation_of(const server::ExplainQuestion& question,
                                           const server::Snapshot& snapshot);

/// The exit status: 0, 1 when the configuration is wrong, 2 when the question is.
int explain(const server::ExplainQuestion& question, const std::string& config_file);

}  // namespace postern::cli
