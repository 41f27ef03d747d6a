// What `postern explain` says, as the API hands it on. The words are made in cli/, which comes
// above this folder: main() gives them to the server.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "server/snapshot.h"

namespace postern::server {

struct ExplainLine {
  std::string what;  ///< "" goes on with the line before
  std::string text;
};

struct Explanation {
  std::string title;
  std::vector<ExplainLine> lines;
};

struct ExplainQuestion {
  std::string name;  ///< or a URL
  std::string type = "A";
  std::string method = "GET";  ///< of a URL
  std::string client = "127.0.0.1";
};

struct Wording {
  std::function<Result<Explanation>(const ExplainQuestion&, const Snapshot&)> explain;
  std::function<std::vector<std::string>(Bytes message)> answer_lines;
};

}  // namespace postern::server
