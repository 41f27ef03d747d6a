// The status page and the description of the API, put into the program when it is built
// (page/embed.py).
#pragma once

#include <string_view>

namespace postern::server {

extern const std::string_view kStatusPage;        ///< HTML with its style and script
extern const std::string_view kStatusPagePolicy;  ///< its Content-Security-Policy
extern const std::string_view kOpenApi;           ///< docs/openapi.json

}  // namespace postern::server
