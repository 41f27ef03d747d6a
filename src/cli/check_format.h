// Problems as other programs read them. Paths below `directory` are relative to it, as forges want
// them. Pure.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "server/config.h"

namespace postern::cli {

/// An array of {file, line, column, severity, message, hint}; line and column 0: the whole file.
std::string problems_as_json(const std::vector<server::ConfigProblem>& problems,
                             const std::string& directory);

/// Workflow commands of GitHub and Gitea: "::error file=F,line=L,col=C::text".
std::string problems_as_github(const std::vector<server::ConfigProblem>& problems,
                               const std::string& directory);

/// GitLab's code quality report.
std::string problems_as_gitlab(const std::vector<server::ConfigProblem>& problems,
                               const std::string& directory);

/// A JSON string with its quotes; bytes that are not UTF-8 become U+FFFD.
std::string json_text(std::string_view text);

}  // namespace postern::cli
