// The status page and the description of the API, put into the program when it is built
// (page/embed.py).
#pragma once

#include <string_view>

namespace postern::server {

std::string_view status_page();         ///< HTML with its style and script
std::string_view status_page_policy();  ///< its Content-Security-Policy
std::string_view openapi_document();    ///< docs/openapi.json

}  // namespace postern::server
