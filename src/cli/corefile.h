// The text of a CoreDNS Corefile as server blocks and their plugins: Caddyfile syntax with
// snippets, import, quotes and comments.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "cli/import_model.h"

namespace postern::cli {

/// One line: its words, never none.
struct CorefileOption {
  ImportPlace place;
  std::vector<std::string> words;
};

/// A plugin and the lines of its block; what stands deeper stands among them.
struct CorefilePlugin {
  ImportPlace place;
  std::vector<std::string> words;
  std::vector<CorefileOption> block;
};

/// A server block: `words` are its keys.
struct CorefileBlock {
  ImportPlace place;
  std::vector<std::string> words;
  std::vector<CorefilePlugin> plugins;
};

/// Snippets and imported files are put in their place. The error names file and line.
Result<std::vector<CorefileBlock>> read_corefile(const std::string& path);

}  // namespace postern::cli
