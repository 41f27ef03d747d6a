#include "dns/policy.h"

#include <algorithm>
#include <string_view>

#include <fmt/format.h>

namespace postern::dns {
namespace {

bool holds_in(const std::vector<std::string>& views, const std::string& view) {
  return views.empty() || std::find(views.begin(), views.end(), view) != views.end();
}

bool holds_in(const OverrideSettings& rule, const std::string& view) {
  const auto& not_in = rule.not_in_views;
  return holds_in(rule.views, view) &&
         std::find(not_in.begin(), not_in.end(), view) == not_in.end();
}

SuffixTable<bool> name_set(const std::vector<Name>& names) {
  SuffixTable<bool> table;
  for (const Name& name : names) table.insert(name.view(), true);
  return table;
}

// Everything in a view that shapes what is stored for it, as text: same text, same cache entries.
std::string fingerprint(const PolicySettings& settings,
                        const std::vector<const OverrideSettings*>& overrides,
                        const std::string& view) {
  std::string text;
  for (const OverrideSettings* o : overrides) {
    for (const Name& name : o->names)
      text += fmt::format("override {} {} {}\n", name.text(), o->forward, o->ttl_s);
  }
  for (const ZoneSettings& zone : settings.zones) {
    if (holds_in(zone.views, view)) text += fmt::format("zone {}\n", zone.name.text());
  }
  for (const Name& name : settings.forward_names) text += fmt::format("forward {}\n", name.text());
  for (const std::string& source : settings.forward_sources) {
    text += fmt::format("source {}\n", source);
  }
  for (const std::string& alpn : settings.svcb.strip_alpn) text += fmt::format("strip {}\n", alpn);
  for (const std::uint16_t key : settings.svcb.drop_keys) text += fmt::format("drop {}\n", key);
  for (const Name& name : settings.svcb.except) text += fmt::format("except {}\n", name.text());
  text += fmt::format("signed {}\n", static_cast<int>(settings.svcb.signed_answers));
  text += fmt::format("rebind {}\n", settings.rebind.enabled);
  for (const Name& name : settings.rebind.except) text += fmt::format("rebind {}\n", name.text());
  for (const OverrideSettings& o : settings.overrides) {
    if (o.cname) text += fmt::format("rebind {}\n", o.cname->text());
  }
  return text;
}

void note_ancestors(const Name& name, ViewPolicy* view) {
  const LookupName lookup(name.view().is_wildcard() ? name.view().parent() : name.view());
  // Of "*.x" x itself has something below it, too.
  for (std::size_t skip = name.view().is_wildcard() ? 0 : 1; skip < lookup.label_count(); ++skip) {
    view->ancestors.insert(lookup.hash(skip));
  }
}

void note_ancestors(const PolicySettings& settings,
                    const std::vector<const OverrideSettings*>& overrides, ViewPolicy* view) {
  for (const OverrideSettings* o : overrides) {
    for (const Name& name : o->names) note_ancestors(name, view);
  }
  view->zones.for_each([&](NameView name, const ServedZone&) { note_ancestors(Name(name), view); });
  for (const Name& name : settings.forward_names) note_ancestors(name, view);
}

void compile_view(const PolicySettings& settings,
                  const std::vector<std::shared_ptr<const Zone>>& zones, const std::string& name,
                  const Policy& storage, ViewPolicy* view) {
  std::vector<const OverrideSettings*> overrides;
  for (const OverrideSettings& o : settings.overrides) {
    if (holds_in(o, name)) overrides.push_back(&o);
  }
  view->name = name;
  view->overrides = OverrideTable::compile(overrides);
  for (std::size_t i = 0; i < settings.zones.size(); ++i) {
    const ZoneSettings& zone = settings.zones[i];
    if (zones[i] != nullptr && holds_in(zone.views, name)) {
      view->zones.insert(zone.name.view(), ServedZone{zones[i], zone.fallthrough});
    }
  }
  view->forwards = &storage.forwards;
  view->svcb = &storage.svcb;
  view->svcb_except = &storage.svcb_except;
  view->rebind_except = &storage.rebind_except;
  view->rebind_protection = settings.rebind.enabled;
  view->special = special_names(settings.canary);
  note_ancestors(settings, overrides, view);
  view->id = extend_hash(kRootHash, as_bytes(fingerprint(settings, overrides, name)));
}

}  // namespace

bool ViewPolicy::owns(const LookupName& target, RrType type) const {
  const OverrideTable::Match match = overrides.find(target, type);
  if (match && !match.rule->forward) return true;
  const auto zone = zones.find(target);
  return zone.value != nullptr && !is_exception(match, zone.labels) &&
         forwards->find(target).labels <= zone.labels;
}

bool ViewPolicy::is_answered_elsewhere(const LookupName& target, RrType type,
                                       std::uint16_t forward) const {
  if (owns(target, type)) return true;
  const auto found = forwards->find(target);
  if (found.value != nullptr && *found.value != forward) return true;
  const auto special_name = special.table.find(target);
  return special_name.value != nullptr && found.labels == 0 &&
         !is_exception(overrides.find(target, type), special_name.labels);
}

bool ViewPolicy::guards(const LookupName& target) const {
  // A forward for a domain is the user's word that its answers are local.
  return rebind_protection && forwards->find(target).labels == 0 &&
         !rebind_except->contains(target);
}

const ViewPolicy& Policy::view_of(const IpAddress& client) const {
  for (const View& view : views) {
    if (contains(view.clients, client)) return view.policy;
  }
  return everyone;
}

std::unique_ptr<const Policy> compile_policy(
    const PolicySettings& settings, const std::vector<std::shared_ptr<const Zone>>& zones) {
  auto policy = std::make_unique<Policy>();
  policy->allow = settings.allow;
  policy->identity = settings.identity;
  policy->udp_payload = settings.udp_payload;
  for (std::size_t i = 0; i < settings.forward_names.size(); ++i) {
    policy->forwards.insert(settings.forward_names[i].view(), static_cast<std::uint16_t>(i));
  }
  policy->svcb = settings.svcb;
  policy->svcb_except = name_set(settings.svcb.except);
  policy->rebind_except = name_set(settings.rebind.except);
  for (const OverrideSettings& o : settings.overrides) {
    if (o.cname) policy->rebind_except.insert(o.cname->view(), true);  // the user named it
  }
  for (const ViewSettings& view : settings.views) {
    policy->views.emplace_back();
    policy->views.back().clients = view.clients;
    compile_view(settings, zones, view.name, *policy, &policy->views.back().policy);
    policy->views.back().policy.index = static_cast<std::uint32_t>(policy->views.size());
  }
  compile_view(settings, zones, "", *policy, &policy->everyone);
  return policy;
}

}  // namespace postern::dns
