#include "cli/admin_command_line.h"

namespace postern::cli {

CLI::App* AdminCommandLine::add(CLI::App& to, const char* name, const char* help) {
  CLI::App* command = to.add_subcommand(name, help);
  command->add_option("-c,--config", where_.config_file,
                      "configuration that has the admin address and its token");
  command->add_option("--url", where_.url, "the admin address, in place of the configuration's");
  command->add_option("--token-file", where_.token_file, "file with the token");
  return command;
}

AdminCommandLine::AdminCommandLine(CLI::App& app) {
  status_command_ = add(app, "status", "say how the running server does");
  status_command_->add_flag("--json", status_.json, "for programs");
  log_command_ = add(app, "log", "show queries and requests as they come");
  log_command_->add_flag("-f,--follow", follow_, "until it is ended; there is nothing else");
  log_command_->add_option("--kind", log_.kind, "query or request")
      ->check(CLI::IsMember({"query", "request"}));
  log_command_->add_option("--text", log_.text, "anywhere in the name, or host and path");
  log_command_->add_option("--type", log_.type, "record type, or method");
  log_command_->add_option("--status", log_.status, "NXDOMAIN, 404, 5xx");
  log_command_->add_option("--client", log_.client, "an address or a network");
  log_command_->add_option("-n,--lines", log_.lines, "end after so many");
  log_command_->add_flag("--json", log_.json, "for programs");
  reload_command_ = add(app, "reload", "have the configuration read again, wait for the outcome");
  CLI::App* cache = app.add_subcommand("cache", "look at the cache, or empty it");
  cache->require_subcommand(1);
  flush_command_ = add(*cache, "flush", "forget all answers, or those of a name");
  flush_command_->add_option("NAME", cache_.name, "a domain name");
  show_command_ = add(*cache, "show", "show what is there for a name");
  show_command_->add_option("NAME", cache_.name, "a domain name")->required();
  show_command_->add_flag("--json", cache_.json, "for programs");
}

std::optional<int> AdminCommandLine::run() {
  status_.where = log_.where = cache_.where = where_;
  if (status_command_->parsed()) return status(status_);
  if (log_command_->parsed()) return follow_log(log_);
  if (reload_command_->parsed()) return reload(where_);
  if (flush_command_->parsed()) return flush_cache(cache_);
  if (show_command_->parsed()) return show_cache(cache_);
  return std::nullopt;
}

}  // namespace postern::cli
