"use strict";

// Everything that comes from the server, names from the network first of all, goes into the page as
// text: element() makes text nodes of strings, and nothing here sets HTML.

const $ = id => document.getElementById(id);
const SVG = "http://www.w3.org/2000/svg";
const SHOWN_MAX = 200;
const LOG_ROWS_MAX = 200;
const OFTEN_MS = 2000, SELDOM_MS = 5000, FILTER_WAIT_MS = 300, ANSWER_MS = 10000;

function element(tag, attributes, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes || {})) made.setAttribute(name, value);
  made.append(...children.filter(child => child !== null && child !== undefined));
  return made;
}

function fill(id, ...children) { renew($(id), children); }

// What is shown already stays as it is: a new element would lose the place that one has scrolled to, the focus,
// and the selected text.
function renew(shown, children) {
  const wanted = children.map(child => typeof child === "string" ? document.createTextNode(child) : child);
  while (shown.childNodes.length > wanted.length) shown.lastChild.remove();
  for (const [i, node] of wanted.entries()) {
    const old = shown.childNodes[i];
    if (old === undefined) {
      shown.append(node);
    } else if (!old.isEqualNode(node)) {
      if (old.nodeName === node.nodeName && node.nodeType === Node.ELEMENT_NODE && same_attributes(old, node)) {
        renew(old, [...node.childNodes]);
      } else {
        old.replaceWith(node);
      }
    }
  }
}

function same_attributes(one, other) {
  return one.cloneNode(false).isEqualNode(other.cloneNode(false));
}

function table(label, heads, rows) {
  if (rows.length === 0) return element("p", {class: "note"}, "none");
  const head = heads.map(([text, kind]) => element("th", {scope: "col", class: kind || ""}, text));
  const body = rows.slice(0, SHOWN_MAX).map(cells => element("tr", {}, ...cells.map((cell, i) =>
    element("td", {class: heads[i][1] || ""}, ...(Array.isArray(cell) ? cell : [cell])))));
  const shown = element("div", {class: "scroll", tabindex: "0", role: "group", "aria-label": label},
    element("table", {}, element("thead", {}, element("tr", {}, ...head)), element("tbody", {}, ...body)));
  if (rows.length <= SHOWN_MAX) return shown;
  return element("div", {}, shown,
    element("p", {class: "note"}, `and ${rows.length - SHOWN_MAX} more; the API has all of them`));
}

function list(items) { return element("ul", {}, ...items.map(item => element("li", {}, item))); }

function mark(good, yes, no) {
  return element("span", {class: good ? "good" : "bad"}, good ? `● ${yes}` : `▲ ${no}`);
}

const number = value => value.toLocaleString("en");
const sum = values => values.reduce((so_far, value) => so_far + value, 0);
const percent = (part, whole) => whole === 0 ? "–" : `${Math.round(100 * part / whole)} %`;
const two = value => String(value).padStart(2, "0");
const clock = seconds => {
  const time = new Date(seconds * 1000);
  return `${two(time.getHours())}:${two(time.getMinutes())}`;
};

function span(seconds) {
  if (seconds < 120) return `${seconds} s`;
  if (seconds < 7200) return `${Math.floor(seconds / 60)} min`;
  if (seconds < 172800) return `${Math.floor(seconds / 3600)} h`;
  return `${Math.floor(seconds / 86400)} days`;
}

function size(bytes) {
  if (bytes < 1 << 20) return `${Math.round(bytes / 1024)} KiB`;
  return `${(bytes / (1 << 20)).toFixed(1)} MiB`;
}

// Charts: stacked bars, the first kind at the bottom.

function chart(id, label, series, kinds) {
  const count = series[kinds[0].key].length;
  const totals = Array.from({length: count}, (_, i) => sum(kinds.map(kind => series[kind.key][i])));
  const most = Math.max(1, ...totals);
  const picture = document.createElementNS(SVG, "svg");
  picture.setAttribute("viewBox", `0 0 ${count} 100`);
  picture.setAttribute("preserveAspectRatio", "none");
  picture.setAttribute("role", "img");
  picture.setAttribute("aria-label", `${label}: ${sum(totals)} in all, ${Math.max(0, ...totals)} at most`);
  const base = new Array(count).fill(0);
  for (const [index, kind] of kinds.entries()) {
    let path = "";
    for (let i = 0; i < count; ++i) {
      const height = 98 * series[kind.key][i] / most;
      if (height === 0) continue;
      base[i] += height;
      path += `M${i + .08} ${100 - base[i]}h.84v${height}h-.84z`;
    }
    const bars = document.createElementNS(SVG, "path");
    bars.setAttribute("d", path);
    bars.setAttribute("class", `k${kind.color || index + 1}`);
    picture.append(bars);
  }
  const per = series.step_s === 1 ? "/s" : "/min";
  fill(id, picture, element("div", {class: "axis"}, element("span", {}, clock(series.from)),
    element("span", {}, `top ${number(Math.max(0, ...totals))}${per}`),
    element("span", {}, clock(series.from + count * series.step_s))));
}

const DNS_KINDS = [{key: "cached", text: "cache"}, {key: "local", text: "from here"},
                   {key: "upstream", text: "upstream"}, {key: "failed", text: "failed"}];
const HTTP_KINDS = [{key: "fine", text: "answered"}, {key: "errors", text: "5xx", color: 4}];

function legend(id, series, kinds) {
  fill(id, ...kinds.map((kind, index) => element("li", {},
    element("i", {class: `k${kind.color || index + 1}`, "aria-hidden": "true"}),
    `${kind.text} ${number(sum(series[kind.key]))}`)));
}

function numbers(id, pairs) {
  fill(id, ...pairs.map(([what, value]) => element("div", {}, element("dt", {}, what), element("dd", {}, value))));
}

const recent = values => sum(values.slice(-10)) / 10;
const rate = values => recent(values) < 10 ? recent(values).toFixed(1) : number(Math.round(recent(values)));

function show_traffic(traffic) {
  const {seconds, minutes} = traffic;
  for (const series of [seconds, minutes]) {
    series.fine = series.requests.map((value, i) => Math.max(0, value - series.errors[i]));
  }
  const queries = sum(minutes.queries);
  numbers("dns-numbers", [["queries/s", rate(seconds.queries)], ["last hour", number(queries)],
    ["cache", percent(sum(minutes.cached), queries)], ["failed", number(sum(minutes.failed))]]);
  numbers("http-numbers", [["requests/s", rate(seconds.requests)], ["last hour", number(sum(minutes.requests))],
    ["5xx", number(sum(minutes.errors))], ["sent", size(sum(minutes.bytes))]]);
  chart("dns-seconds", "DNS replies by second", seconds, DNS_KINDS);
  chart("dns-minutes", "DNS replies by minute", minutes, DNS_KINDS);
  chart("http-seconds", "HTTP requests by second", seconds, HTTP_KINDS);
  chart("http-minutes", "HTTP requests by minute", minutes, HTTP_KINDS);
  legend("dns-legend", minutes, DNS_KINDS);
  legend("http-legend", minutes, HTTP_KINDS);
}

// State

function show_status(status) {
  $("summary").textContent = `${status.version} · up ${span(status.uptime_s)} · ` +
    `${status.workers} ${status.workers === 1 ? "worker" : "workers"}`;
  const reload = status.last_reload;
  const good = status.in_sync && (reload === null || reload.good);
  $("state").textContent = good ? "● as in the files" : "▲ not as in the files";
  $("state").className = `pill ${good ? "good" : "bad"}`;
  const parts = [element("p", {class: "note"}, element("code", {}, status.config.file),
    ` · fingerprint `, element("code", {}, status.config.fingerprint))];
  if (status.drift.length > 0) {
    parts.push(element("ul", {class: "problems bad"}, ...status.drift.map(text => element("li", {}, text))));
  }
  if (reload === null) {
    parts.push(element("p", {class: "note"}, "Not reloaded since the start."));
  } else {
    parts.push(element("p", {class: "note"}, `Last reload ${span(Math.max(0, status.now - reload.time))} ago: `,
      mark(reload.good, "taken over", `refused, ${reload.detail}`)));
    parts.push(element("ul", {class: "problems"}, ...reload.problems.map(problem => element("li", {},
      element("code", {}, `${problem.file}:${problem.line}:${problem.column}`),
      ` ${problem.warning ? "warning: " : ""}${problem.text}`))));
  }
  fill("configuration-body", ...parts);
}

function leads_to(rule) {
  if (rule.forward) return "upstream (exception)";
  const target = rule.cname === null ? rule.address.join(", ") : rule.cname;
  return rule.listeners.length === 0 ? target : `${target} → ${rule.listeners.join(", ")}`;
}

function show_dns(dns) {
  const upstreams = dns.forwards.flatMap(forward => forward.upstreams.map(one => [forward.name,
    element("span", {class: "mono"}, one.upstream), mark(one.healthy, "good", `rests ${Math.ceil(one.rest_left_ms / 1000)} s`),
    one.rtt_ms === null ? "–" : `${one.rtt_ms.toFixed(1)} ms`, number(one.queries), number(one.failures), forward.policy]));
  fill("upstreams", table("Upstreams", [["For", "c"], ["Upstream"], ["Health", "c"], ["Time", "n"], ["Queries", "n"],
    ["Failures", "n"], ["Policy", "c"]], upstreams));
  fill("overrides", table("Overrides", [["Names"], ["Lead to"], ["HTTPS", "c"], ["TTL", "n"], ["Views"], ["Source"]],
    dns.overrides.map(rule => [list(rule.names_total > rule.names.length
        ? [...rule.names, `and ${rule.names_total - rule.names.length} more`] : rule.names), leads_to(rule), rule.https, `${rule.ttl_s} s`,
      rule.views.join(", ") || "all", element("span", {class: "mono"}, rule.source)])));
  const zones = table("Zones", [["Zone"], ["Serial", "n"], ["Records", "n"], ["State", "c"], ["Views"], ["File"]],
    dns.zones.map(zone => [zone.name, String(zone.serial), number(zone.records),
      zone.rejected ? [mark(false, "", "the file has an error"), list(zone.problems)] : mark(true, "as in the file", ""),
      zone.views.join(", ") || "all", element("span", {class: "mono"}, zone.file)]));
  const views = table("Views", [["View", "c"], ["Clients"]], dns.views.map(view => [view.name, view.clients.join(", ")]));
  fill("zones", zones, element("h3", {}, "Views"), views);
  show_cache(dns.cache);
}

function show_cache(cache) {
  const asked = cache.hits + cache.stale_hits + cache.misses;
  const gauge = element("i", {});
  gauge.style.width = `${Math.min(100, 100 * cache.bytes / cache.size_bytes)}%`;
  const pairs = [["answers", number(cache.entries)], ["found", percent(cache.hits + cache.stale_hits, asked)],
    ["stale", number(cache.stale_hits)], ["went for room", number(cache.evictions)]];
  fill("cache", element("dl", {class: "numbers"}, ...pairs.map(([what, value]) =>
    element("div", {}, element("dt", {}, what), element("dd", {}, value)))),
    element("p", {class: "note"}, `${size(cache.bytes)} of ${size(cache.size_bytes)}`),
    element("div", {class: "gauge", "aria-hidden": "true"}, gauge));
}

function backend_text(one) {
  const left_out = one.addresses_left_out ? `${number(one.addresses_left_out)} of its addresses left out, ` : "";
  return element("span", {}, mark(one.healthy, one.backend, `${one.backend} is down`), " ",
    element("span", {class: "muted"}, `${left_out}${number(one.requests)} requests, ${number(one.failures)} failed`));
}

function uncovered_text(hosts) {
  const more = hosts.length > 5 ? ` and ${hosts.length - 5} more` : "";
  return `no certificate covers ${hosts.slice(0, 5).join(", ")}${more}`;
}

function show_gateway(gateway) {
  fill("routes", table("Routes", [["Host names"], ["Matches"], ["Backends"], ["Listeners"], ["Source"]],
    gateway.routes.map(route => [list(route.hostnames.length === 0 ? ["any"] : route.hostnames),
      list(route.matches.length === 0 ? ["all"] : route.matches),
      route.backends.length === 0 ? route.action : list(route.backends.map(backend_text)),
      route.listeners.join(", ") || "all", element("span", {class: "mono"}, route.source)])));
  fill("certificates", table("Certificates", [["Name", "c"], ["For"], ["Left", "c"]],
    gateway.certificates.map(one => [one.name, list(one.names),
      [mark(one.days_left >= 14 && one.rejected === "", `${one.days_left} days`,
        one.days_left < 0 ? "has expired" : `${one.days_left} days`),
       one.rejected === "" ? null : element("p", {class: "bad note"}, one.rejected)].filter(Boolean)])));
  const ports = one => [["http", one.http], ["https", one.https], ["tcp", one.tcp]]
    .filter(([, port]) => port !== 0).map(([name, port]) => `${name} ${port}`).join(", ");
  fill("listeners", table("Listeners", [["Name", "c"], ["Address"], ["Ports"], ["QUIC", "c"]],
    gateway.listeners.map(one => [one.name, list(one.address),
      [ports(one), one.backends.length === 0 ? null : list(one.backends.map(backend_text)),
       one.uncovered.length === 0 ? null : element("p", {class: "bad note"}, uncovered_text(one.uncovered))]
        .filter(Boolean), one.quic])));
}

function show_clients(clients) {
  const top = (label, rows, key) => table(label, [[label], ["Queries", "n"]],
    rows.slice(0, 10).map(row => [element("span", {class: "mono"}, row[key]), number(row.count)]));
  fill("names", top("Name", clients.names, "name"));
  fill("clients", top("Client", clients.clients, "client"));
  const tries = (rows, kind) => rows.map(row => [row.client, kind, row.host || "–", number(row.count)]);
  fill("stray", table("Devices", [["Client"], ["Tries", "c"], ["For"], ["Times", "n"]],
    [...tries(clients.quic, "QUIC"), ...tries(clients.ech, "ECH")]));
  const known = new Set(clients.clients.map(row => row.client));
  fill("known-clients", ...[...known].map(client => element("option", {value: client})));
}

// Asking

const lost = new Map();  // by path, why its answer did not come

async function get(path) {
  const answer = await fetch(`/api/v1/${path}`, {cache: "no-store", signal: AbortSignal.timeout(ANSWER_MS)});
  const body = await answer.json();
  if (!answer.ok) throw new Error(body.error || `status ${answer.status}`);
  return body;
}

function say_lost() {
  const said = [...lost].map(([path, reason]) => `${path} (${reason})`).sort();
  $("lost").hidden = said.length === 0;
  fill("lost", said.length === 0 ? "" : `Not up to date: ${said.join(", ")}`);  // read out when it changes
}

async function show_answer(path, show) {
  try {
    show(await get(path));
    lost.delete(path);
  } catch (error) {
    lost.set(path, error.message);
  }
  say_lost();
}

function every(interval, views) {
  const turn = async () => {
    if (!document.hidden) await Promise.all(views.map(([path, show]) => show_answer(path, show)));
    setTimeout(turn, interval);
  };
  turn();
}

// The live log

let source = null;
let paused = false;
let missed = 0;

function log_query() {
  const query = new URLSearchParams();
  for (const name of ["kind", "text", "client", "type", "status"]) {
    const value = $(`log-${name}`).value.trim();
    if (value !== "") query.set(name, value);
  }
  return query.toString();
}

function log_row(event) {
  const time = new Date(event.time);
  const at = `${two(time.getHours())}:${two(time.getMinutes())}:${two(time.getSeconds())}`;
  const is_query = event.kind === "query";
  const bad = is_query ? event.status === "SERVFAIL" : event.status.startsWith("5") || event.failure !== "";
  const cells = [["t", at], ["c", event.client], ["c", is_query ? event.type : event.method],
    ["mono", is_query ? event.name : event.host + event.path], ["", is_query ? event.source : event.backend],
    [bad ? "bad" : "", event.status], ["n", event.ms.toFixed(1)]];
  return element("tr", {}, ...cells.map(([kind, text]) => element("td", {class: kind}, text)));
}

function add_to_log(event) {
  const rows = $("log").tBodies[0];
  rows.prepend(log_row(event));
  while (rows.rows.length > LOG_ROWS_MAX) rows.lastElementChild.remove();
}

function close_log() {
  if (source !== null) source.close();
  source = null;
}

async function open_log() {
  close_log();
  if (paused || document.hidden) return;
  const url = `/api/v1/log?${log_query()}`;
  const own = source = new EventSource(url);
  own.onopen = () => { $("log-state").textContent = "following"; };
  own.onmessage = message => add_to_log(JSON.parse(message.data));
  own.addEventListener("missed", message => {
    missed += Number(message.data);
    $("log-state").textContent = `following; ${number(missed)} lines left out, too many at a time`;
  });
  own.onerror = async () => {
    if (own !== source) return;
    $("log-state").textContent = "not connected";
    if (own.readyState !== EventSource.CLOSED) return;  // it tries again by itself
    const answer = await fetch(url, {method: "HEAD"}).catch(() => null);
    if (own !== source) return;
    if (answer !== null && answer.status === 400) {
      $("log-state").textContent = "the filter is not understood";
    } else {
      setTimeout(() => { if (own === source) open_log(); }, SELDOM_MS);
    }
  };
}

function set_up_log() {
  let waiting = 0;
  $("log-filter").addEventListener("submit", event => event.preventDefault());
  $("log-filter").addEventListener("input", () => {
    clearTimeout(waiting);
    waiting = setTimeout(() => {
      $("log").tBodies[0].replaceChildren();
      missed = 0;
      open_log();
    }, FILTER_WAIT_MS);
  });
  $("log-pause").addEventListener("click", () => {
    paused = !paused;
    $("log-pause").setAttribute("aria-pressed", String(paused));
    $("log-pause").textContent = paused ? "Go on" : "Pause";
    if (paused) $("log-state").textContent = "paused";
    open_log();
  });
  document.addEventListener("visibilitychange", open_log);
  open_log();
}

// Explain

let questions = 0;

async function explain() {
  const question = ++questions;
  const name = $("explain-name").value.trim();
  const query = new URLSearchParams(name.includes("://") ? {url: name} : {name, type: $("explain-type").value});
  const client = $("explain-client").value.trim();
  if (client !== "") query.set("client", client);
  try {
    const said = await get(`explain?${query}`);
    if (question !== questions) return; // another one was asked meanwhile
    const path = said.lines.flatMap(line => [element("dt", {}, line.what), element("dd", {class: "mono"}, line.text)]);
    fill("explanation", element("h3", {}, said.title), element("dl", {class: "path"}, ...path));
  } catch (error) {
    if (question === questions) fill("explanation", element("p", {class: "bad"}, error.message));
  }
}

$("explain").addEventListener("submit", event => {
  event.preventDefault();
  explain();
});
// Another client or type: what is shown is that of the fields.
$("explain").addEventListener("change", () => {
  if ($("explanation").hasChildNodes() && $("explain").checkValidity()) explain();
});
every(OFTEN_MS, [["status", show_status], ["traffic", show_traffic]]);
every(SELDOM_MS, [["clients", show_clients], ["dns", show_dns], ["gateway", show_gateway]]);
set_up_log();
