// Changes while it runs: configuration, zones, certificates.
#include <algorithm>
#include <ctime>
#include <utility>

#include <fmt/format.h>

#include "base/log.h"
#include "base/text.h"
#include "server/config_help.h"
#include "server/report.h"
#include "server/server_core.h"

namespace postern::server {
namespace {

constexpr std::uint64_t kRetireMs = 5000;
constexpr std::uint64_t kRestLookMs = 50;  // whether what is being written rests
constexpr std::uint64_t kDayMs = 86'400'000;

bool same_settings(const dns::CacheSettings& a, const dns::CacheSettings& b) {
  return a.size_bytes == b.size_bytes && a.min_ttl_s == b.min_ttl_s && a.max_ttl_s == b.max_ttl_s &&
         a.negative_ttl_s == b.negative_ttl_s && a.serve_stale_s == b.serve_stale_s &&
         a.prefetch == b.prefetch;
}

}  // namespace

void Server::want_reload() {
  reload_wanted_ = true;
  begin_next();
}

// The configuration was edited, or what a change names that was refused.
void Server::want_change() {
  if (!config().server.watch) return;
  change_wanted_ = true;
  begin_next();
}

// An edit of zones may be part of one of the configuration, which is looked for first.
void Server::want_zones() {
  zones_wanted_ = true;
  change_wanted_ = change_wanted_ || config().server.watch;
  begin_next();
}

// They are taken up alone when nothing else was changed with them, also while something else is
// refused: they expire.
void Server::want_certificates() {
  certificates_wanted_ = true;
  change_wanted_ = change_wanted_ || config().server.watch;
  begin_next();
}

void Server::look_at_certificates() {
  if (loop_.now_ms() >= expiry_warned_ms_ + kDayMs) {
    expiry_warned_ms_ = loop_.now_ms();
    warn_of_expiry(*snapshot_);
  }
  if (!config().certificates.empty()) want_certificates();
}

void Server::begin_next() {
  if (background_.busy() || taking_over_ || stopping_) return;
  // Zones of a change that was refused wait for what was wrong with it.
  if (refusals_.has_change() && config().server.watch) zones_wanted_ = false;
  if (reload_wanted_) {
    // A zone edit that is waiting goes on waiting: the reload may be refused.
    reload_wanted_ = change_wanted_ = false;
    begin_reload();
  } else if (change_wanted_ && config_watcher_.is_settling()) {
    rest_look_.start_once(kRestLookMs);
  } else if (change_wanted_) {
    change_wanted_ = false;
    background_.run([this, current = snapshot_, refusals = refusals_] {
      return [this, news = is_news(*current, refusals)] {
        reload_wanted_ = reload_wanted_ || news;
        begin_next();
      };
    });
  } else if (zones_wanted_) {
    zones_wanted_ = false;
    begin_zones();
  } else if (certificates_wanted_) {
    certificates_wanted_ = false;
    begin_certificates();
  }
}

void Server::begin_reload() {
  site_.reload_begins();
  log_info("reload", "reading {}", config_file_);
  manager_.reloading();
  background_.run([this, file = config_file_, current = snapshot_] {
    auto result = std::make_shared<SnapshotResult>(load_snapshot(file, current.get()));
    return [this, result] { finish_reload(std::move(*result)); };
  });
}

// A change of everything may come between the look at the configuration and the reading of zones;
// then it is taken up as a whole.
void Server::begin_zones() {
  background_.run([this, current = snapshot_, refusals = refusals_, watch = config().server.watch] {
    auto refresh = std::make_shared<ZoneRefresh>(refresh_zones(*current, refusals.zones));
    return [this, refresh, news = watch && is_news(*current, refusals)] {
      if (!news) return finish_zones(std::move(*refresh));
      reload_wanted_ = true;
      begin_next();
    };
  });
}

// The same here. They are put off once: when files do not come to rest, they would be for ever.
void Server::begin_certificates() {
  const bool may_wait = config().server.watch && !std::exchange(certificates_put_off_, false);
  background_.run([this, current = snapshot_, refusals = refusals_, may_wait] {
    auto refresh =
        std::make_shared<CertificateRefresh>(refresh_certificates(*current, refusals.certificates));
    const bool news = may_wait && refresh->snapshot != nullptr && is_news(*current, refusals);
    return [this, refresh, news] {
      if (!news) return finish_certificates(std::move(*refresh));
      change_wanted_ = certificates_wanted_ = certificates_put_off_ = true;
      begin_next();
    };
  });
}

void Server::finish_reload(SnapshotResult result) {
  log_problems(result.snapshot == nullptr ? "config_rejected" : "config", result.problems);
  Result<void> taken = result.snapshot == nullptr
                           ? fail(Code::kInvalid, counted(result.error_count, "error"))
                           : take_over(std::move(result.snapshot));
  if (!taken) return refuse_reload(taken.error().detail, std::move(result));
  when_taken_over([this, problems = std::move(result.problems)] {
    counted_.last_reload_good = true;
    ++counted_.reloads;
    counted_.last_reload_good_s = static_cast<std::uint64_t>(std::time(nullptr));
    log_served(*snapshot_);
    log_passed(passed_, listening_);
    log_info("reloaded", "{} is served", config_file_);
    manager_.ready(serving_text());
    site_.reload_ended(true, "", problems);
  });
}

// So that nobody looks for a fault in them.
std::string Server::with_held(const std::string& reason) const {
  std::vector<std::string> names;
  for (const CertificateRejection& one : refusals_.certificates) {
    if (one.held) names.push_back(config().certificates[one.index].name);
  }
  if (names.empty()) return reason;
  return fmt::format("{}; certificates that came with it wait, too: {}", reason,
                     fmt::join(names, ", "));
}

void Server::refuse_reload(const std::string& reason, SnapshotResult result) {
  counted_.last_reload_good = false;
  ++counted_.reloads_refused;
  log_error("reload_refused", "{}; the configuration as it was goes on being served", reason);
  for (const std::size_t index : note_refused(*snapshot_, std::move(result.parts), &refusals_)) {
    const CertificateSettings& one = config().certificates[index];
    log_warning("certificate_held",
                "{}: {} and {} came with what was refused, and wait until it is mended", one.name,
                one.cert, one.key);
  }
  manager_.ready(fmt::format("{} was edited and refused ({}); as it was, it goes on being served",
                             config_file_, reason));
  // SIGHUP may have come from logrotate. The settings are those that it has.
  if (auto same = tap_->configure(tap_settings(config())); !same) {
    log_error("query_log_failed", "{}", same.error().detail);
  }
  watch_files();
  site_.reload_ended(false, with_held(reason), std::move(result.problems));
  begin_next();
}

// Whoever reads that a change is served and asks at once is answered from it: `say` is called when
// every worker has taken it over.
void Server::when_taken_over(std::function<void()> say) {
  taking_over_ = true;
  gather_counts([this, say = std::move(say)](const WorkerCounts&) {
    taking_over_ = false;
    if (stopping_) return;
    say();
    begin_next();
  });
}

void Server::warn_of_unchangeable(const Config& next) const {
  if (next.server.workers != config().server.workers) {
    log_warning("reload", "server.workers takes effect at the next start");
  }
  if (next.server.user != config().server.user) {
    log_warning("reload", "server.user takes effect at the next start");
  }
}

// What goes from one to the other in one reload is still held by the one that had it.
Result<void> Server::check_given_up(const ListenPlan& plan,
                                    const std::optional<Endpoint>& admin) const {
  const auto held = [](const std::vector<ListenPlace>& places, const Endpoint& endpoint) {
    const auto found = std::find_if(places.begin(), places.end(), [&](const ListenPlace& place) {
      return overlap(place.endpoint, endpoint);
    });
    return found == places.end() ? nullptr : &*found;
  };
  for (const auto* places : {&plan.dns, &plan.gateway}) {
    const ListenPlace* const place = admin_ ? held(*places, admin_->local()) : nullptr;
    if (place == nullptr) continue;
    return fail(Code::kIo, fmt::format("{}: {} is still that of server.admin; move server.admin in "
                                       "one reload, and this in the next",
                                       place->key, place->endpoint.to_string()));
  }
  if (!admin || has_admin_at(admin)) return {};
  for (const auto* places : {&listening_.dns, &listening_.gateway}) {
    const ListenPlace* const place = held(*places, *admin);
    if (place == nullptr) continue;
    return fail(Code::kIo, fmt::format("server.admin: {} is still that of {}; move {} in one "
                                       "reload, and this in the next",
                                       admin->to_string(), place->key, place->key));
  }
  return {};
}

// The sockets that have to be opened are opened here, before anything changes.
Result<void> Server::take_over(std::shared_ptr<const Snapshot> next) {
  ListenPlan plan = listen_plan(next->config.listen, next->site());
  if (auto given = check_given_up(plan, next->config.server.admin); !given) return given;
  auto changes = open_added(listening_, plan, worker_count_, passed_);
  if (!changes) return tl::unexpected(changes.error());
  auto admin = open_admin(next->config.server.admin);
  if (!admin) return tl::unexpected(admin.error());
  if (auto taps = tap_->configure(tap_settings(next->config)); !taps) return taps;
  if (!has_admin_at(next->config.server.admin)) set_admin(std::move(*admin));
  warn_of_unchangeable(next->config);
  configure_log(next->config.server.log);
  if (!same_settings(next->config.cache, config().cache)) {
    cache_ = std::make_shared<dns::Cache>(next->config.cache);
    log_info("cache", "dns.cache was changed: the cache starts empty");
  }
  retired_.push_back(std::exchange(snapshot_, std::move(next)));
  listening_ = std::move(plan);
  refusals_ = {};
  publish(std::move(*changes));
  return {};
}

void Server::publish(std::vector<ListenChange> changes) {
  changes.resize(workers_.size());
  for (std::size_t i = 0; i < workers_.size(); ++i) {
    workers_[i]->reload(plan(), std::move(changes[i]));
  }
  retire_.start_every(kRetireMs);
  watch_files();
}

void Server::finish_zones(ZoneRefresh refresh) {
  const auto forget = [&](std::size_t index) {
    std::erase_if(refusals_.zones, [&](const ZoneRejection& r) { return r.index == index; });
  };
  for (const std::size_t index : refresh.mended) {
    forget(index);
    log_info("zone_mended", "{} is again what is served", config().policy.zones[index].file);
  }
  for (ZoneRejection& rejected : refresh.rejected) {
    forget(rejected.index);
    ++counted_.zone_edits_refused;
    log_problems("zone_rejected", rejected.problems);
    log_error("zone_rejected", "{}: {}; the zone as it was (serial {}) goes on being served",
              rejected.zone, counted(rejected.error_count, "error"),
              snapshot_->zones[rejected.index].zone->serial());
    refusals_.zones.push_back(std::move(rejected));
  }
  for (const std::size_t index : refresh.held) {
    log_warning("zone_held", "{}: its edit waits until the zones rejected above are mended",
                config().policy.zones[index].name.text());
  }
  if (refresh.snapshot == nullptr) {
    watch_files();
    return begin_next();
  }
  retired_.push_back(std::exchange(snapshot_, std::move(refresh.snapshot)));
  for (const std::size_t index : refresh.reloaded) forget(index);
  publish();
  when_taken_over([this, reloaded = std::move(refresh.reloaded)] {
    for (const std::size_t index : reloaded) {
      ++counted_.zone_reloads;
      const LoadedZone& zone = snapshot_->zones[index];
      log_info("zone_reloaded", "{} serial {}, {}", config().policy.zones[index].name.text(),
               zone.zone->serial(), counted(zone.zone->record_count(), "record"));
    }
  });
}

void Server::finish_certificates(CertificateRefresh refresh) {
  const auto& settings = config().certificates;
  const auto forget = [&](std::size_t index) {
    std::erase_if(refusals_.certificates,
                  [&](const CertificateRejection& r) { return r.index == index; });
  };
  for (const std::size_t index : refresh.changes.mended) {
    forget(index);
    log_info("certificate_mended", "{}: {} and {} are again what is served", settings[index].name,
             settings[index].cert, settings[index].key);
  }
  for (CertificateRejection& rejected : refresh.changes.rejected) {
    const CertificateSettings& one = settings[rejected.index];
    forget(rejected.index);
    ++counted_.certificates_refused;
    log_error("certificate_rejected",
              "{} ({}, {}): {}; the certificate as it was goes on being served", one.name, one.cert,
              one.key, rejected.reason);
    refusals_.certificates.push_back(std::move(rejected));
  }
  if (refresh.snapshot == nullptr) {
    watch_files();
    return begin_next();
  }
  for (const std::size_t index : refresh.changes.overdue) {
    const auto& identity = snapshot_->gateway->certificates[index].identity;
    log_warning("certificate_overdue",
                "{} is taken up from what was refused: the certificate that is served {}",
                settings[index].name, expiry_text(identity->not_after_s(), unix_now_s()));
  }
  retired_.push_back(std::exchange(snapshot_, std::move(refresh.snapshot)));
  for (const std::size_t index : refresh.changes.reloaded) forget(index);
  publish();
  when_taken_over([this, reloaded = std::move(refresh.changes.reloaded),
                   lost = std::move(refresh.lost)] {
    for (const std::size_t index : reloaded) {
      ++counted_.certificate_reloads;
      const auto& identity = snapshot_->gateway->certificates[index].identity;
      log_info("certificate_reloaded", "{} from {} and {}, {}", config().certificates[index].name,
               config().certificates[index].cert, config().certificates[index].key,
               expiry_text(identity->not_after_s(), unix_now_s()));
    }
    warn_of_lost(config(), lost);
  });
}

// What is written to any of them may be part of one change.
void Server::watch_files() {
  std::vector<std::string> zones;
  for (const LoadedZone& zone : snapshot_->zones) {
    zones.insert(zones.end(), zone.files.begin(), zone.files.end());
  }
  for (const ZoneRejection& rejected : refusals_.zones) {
    zones.insert(zones.end(), rejected.files.begin(), rejected.files.end());
  }
  std::vector<std::string> changing = config_files_of(config());
  const std::vector<std::string> refused = files_of(refusals_.change);
  changing.insert(changing.end(), refused.begin(), refused.end());
  std::vector<std::string> pairs;
  for (const CertificateSettings& settings : config().certificates) {
    pairs.push_back(settings.cert);
    pairs.push_back(settings.key);
  }
  std::vector<std::string> all = changing;
  all.insert(all.end(), zones.begin(), zones.end());
  all.insert(all.end(), pairs.begin(), pairs.end());
  zone_watcher_.watch(zones, all);
  config_watcher_.watch(changing, all);
  certificate_watcher_.watch(pairs, all);
}

// Large zones are freed here rather than by the worker that happens to be last.
void Server::drop_retired() {
  std::erase_if(retired_, [](const auto& snapshot) { return snapshot.use_count() == 1; });
  if (retired_.empty()) retire_.stop();
}

}  // namespace postern::server
