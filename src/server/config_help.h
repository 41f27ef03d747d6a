// What several checks of the configuration need: where a key stands, names that are referred to,
// files beside the one that names them.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/address.h"
#include "server/config_document.h"

namespace postern::server {

/// The place of the value of `key`, of the table when it is not there.
Place key_place(const Node& table, std::string_view key);
/// Something else than a string stands there, which was an error of its own.
bool has_wrong_type(const Node& table, std::string_view key);

/// Cannot both be listened on.
bool overlap(const Endpoint& a, const Endpoint& b);

std::string beside(const std::string& file, const std::string& path);
/// "" when the file can be read.
std::string why_not_readable(const std::string& path);

/// "example.com": as people write it.
std::string without_dot(const dns::Name& name);

/// In ASCII.
std::string to_lower(std::string text);

/// A warning at "FILE:LINE", as it stands in `source` of an override, a zone or a route.
ConfigProblem warning_at(const std::string& source, std::string text);

/// Is the route one of this listener's?
bool is_on(const http::RouteSettings& route, const gateway::ListenerSettings& listener);
bool shares_address(const gateway::ListenerSettings& listener, const dns::OverrideSettings& rule);
/// All of the rule's addresses, and it has some.
bool has_all_addresses(const gateway::ListenerSettings& listener,
                       const dns::OverrideSettings& rule);

/// `item` names one of [[table]], or it is an error of `key`.
void check_reference(Reader& reader, const Node& item, std::string_view key, std::string_view table,
                     std::span<const std::string_view> known);

template <class T>
void move_values(Reader& reader, std::vector<Element<T>>& from, std::vector<T>* to) {
  for (Element<T>& element : from) {
    T& value = element.value;
    if constexpr (requires { value.source; }) value.source = reader.line_text(element.node->place);
    to->push_back(std::move(value));
  }
}

}  // namespace postern::server
