// The dashboard's second half: what is said about the numbers, and where it stands on the page.

// Words

function stateOf(endpoint) {
  if (!endpoint.up) return ["down", "bad"];
  if (endpoint.ejected) return ["ejected", "bad"];
  if (endpoint.draining) return [endpoint.in_flight ? "draining" : "drained", "warn"];
  if (endpoint.weight === 0) return ["weight 0", "warn"];
  if (endpoint.max_in_flight !== null && endpoint.in_flight >= endpoint.max_in_flight) return ["full", "warn"];
  if (!endpoint.eligible) return ["standby", "quiet"];
  return ["up", "good"];
}

/** Us or them? The worst first. */
function judge(status, stats, minute) {
  const found = { bad: [], warn: [], note: [] };
  const say = (how, text) => found[how].push(text);
  for (const upstream of status.upstreams) {
    const out = upstream.endpoints.filter((endpoint) => !endpoint.up || endpoint.ejected);
    const eligible = upstream.endpoints.filter((endpoint) => endpoint.eligible);
    if (!eligible.length) {
      say("bad", `Upstream ${upstream.name} serves nothing: none of its ${plural(upstream.endpoints.length, "endpoint")} may take a request.`);
    }
    for (const endpoint of out.slice(0, 5)) {
      const said = endpoint.up ? endpoint.ejection : endpoint.reason;
      const why = said ? `: ${said}` : "";
      const when = endpoint.since_seconds === null || endpoint.up ? "" : `, for ${span(endpoint.since_seconds)}`;
      say("warn", `${endpoint.address} in ${upstream.name} is ${endpoint.up ? "ejected" : "down"}${when}${why}.`);
    }
    if (out.length > 5) say("warn", `${out.length - 5} more in ${upstream.name} are out.`);
  }
  const requests = sum(minute.routes, "requests");
  const errors = sum(minute.routes, "errors");
  const counted = (words) => {
    const found = [...minute.rejections.values()].filter((one) => one.count && words.has(one.reason));
    return [found.reduce((n, one) => n + one.count, 0), [...new Set(found.map((one) => one.reason))].join(", ")];
  };
  const [theirs, theirWords] = counted(THEIRS);
  const [ours, ourWords] = counted(OURS);
  const answered = Math.max(0, errors - [...minute.rejections.values()].filter((one) => one.status >= 500).reduce((n, one) => n + one.count, 0));
  if (answered) say("bad", `Them: endpoints answered ${count(answered)} of ${count(requests)} requests with 5xx in ${lately()}.`);
  if (theirs) say("bad", `Them: ${plural(theirs, "request")} failed at the endpoints in ${lately()} (${theirWords}).`);
  if (ours) say("warn", `Us: ${plural(ours, "request")} refused here in ${lately()} (${ourWords}).`);
  if (!stats.reload.successful) say("note", "The last reload was refused: the configuration before it is in force.");
  const points = [...found.bad, ...found.warn, ...found.note];
  if (status.draining) return ["warn", "This proxy is stopping.", points];
  if (!status.ready) return ["warn", "Starting: the first probes are not done.", points];
  if (found.bad.length) return ["bad", errors ? "Clients see errors." : "Some requests would fail.", points];
  if (found.warn.length) return ["warn", requests && !errors ? "Degraded, and clients see no errors." : "Degraded.", points];
  const all = status.upstreams.flatMap((upstream) => upstream.endpoints);
  const traffic = requests ? `no errors in ${count(requests)} requests of ${lately()}` : `no requests in ${lately()}`;
  return ["good", all.length ? `All is well: ${plural(all.length, "endpoint")} in order, ${traffic}.` : `All is well: ${traffic}.`, points];
}

// Drawing

const TILES = [
  ["rps", "Requests per second"], ["errors", "Answered with 5xx"], ["p50", "Half are faster than"],
  ["p99", "99 of 100 are faster than"], ["flight", "In flight"], ["connections", "Client connections"],
];

function drawTiles(status, recent, latest, bounds) {
  const box = byId("tiles");
  if (!box.firstChild) {
    for (const [id, name] of TILES) {
      const value = make("div", "value", make("span"), make("span", "unit"));
      const tile = make("div", "tile", make("div", "name", name), value);
      tile.append(document.createElementNS(SVG, "svg"), make("div", "peak"));
      tile.id = `tile-${id}`;
      box.append(tile);
    }
  }
  const perSecond = (window) => (window.span > 0 ? sum(window.routes, "requests") / window.span : 0);
  const at = (window, p) => quantile(together(window.routes), bounds, p);
  const ratio = (window) => {
    const requests = sum(window.routes, "requests");
    return requests ? sum(window.routes, "errors") / requests : 0;
  };
  const flight = status.upstreams.flatMap((upstream) => upstream.endpoints).reduce((n, endpoint) => n + endpoint.in_flight, 0);
  const connections = status.listeners.reduce((n, listener) => n + listener.connections, 0);
  const tell = (seconds) => millis(seconds).join(" ");
  const show = (id, [value, unit], point, peak, hot) => {
    const tile = byId(`tile-${id}`);
    const points = remember(id, point);
    set(tile.querySelector(".value span"), value);
    set(tile.querySelector(".unit"), unit);
    set(tile.querySelector(".peak"), `peak ${peak(Math.max(...points))}`);
    tile.classList.toggle("bad", Boolean(hot));
    sparkline(tile.querySelector("svg"), points);
  };
  show("rps", [rate(perSecond(recent)), "/s"], perSecond(latest), (n) => `${rate(n)}/s`);
  const hot = ratio(recent) > 0;
  show("errors", percent(ratio(recent), 1).split(" "), ratio(latest), (n) => percent(n, 1), hot);
  show("p50", millis(at(recent, 0.5)), at(latest, 0.5), tell);
  show("p99", millis(at(recent, 0.99)), at(latest, 0.99), tell);
  show("flight", [count(flight), ""], flight, count);
  show("connections", [count(connections), ""], connections, count);
}

const ENDPOINT_COLUMNS = [
  ["State", "state"], ["Endpoint", "address"], ["Last finding", "words"], ["In flight", "n"], ["Weight", "n"],
  ["Requests/s", "n"], ["p99", "n"], ["Failed, last minute", "n"], ["Five minutes", "n"], ["", "n act"],
];

function drawUpstreams(status, recent, latest, minute, bounds) {
  const box = byId("upstreams");
  for (const upstream of status.upstreams) {
    const key = `card\n${upstream.name}`;
    let card = kept.get(key);
    if (!card) {
      const head = make("tr");
      for (const [label, name] of ENDPOINT_COLUMNS) head.append(make("th", name === "n" ? "n" : "", label));
      card = make("section", "card", make("h2", "", upstream.name, " ", make("small")));
      card.append(make("table", "", make("thead", "", head), make("tbody")));
      kept.set(key, card);
    }
    card.seen = true;
    if (card.parentNode !== box) box.append(card);
    const eligible = upstream.endpoints.filter((endpoint) => endpoint.eligible).length;
    set(card.querySelector("small"), `${upstream.balance}, ${eligible} of ${upstream.endpoints.length} take requests`);
    for (const endpoint of upstream.endpoints) {
      const id = [upstream.name, endpoint.address].join("\n");
      const line = row(card.querySelector("tbody"), `endpoint\n${id}`, ENDPOINT_COLUMNS);
      drawEndpoint(line, id, upstream, endpoint, recent, latest, minute, bounds);
    }
  }
  forgetUnseen("card\n");
  forgetUnseen("endpoint\n");
}

function drawEndpoint(line, id, upstream, endpoint, recent, latest, minute, bounds) {
  const [state, address, words, flight, weight, rps, p99, failed, history, act] = line.cells;
  const [word, level] = stateOf(endpoint);
  if (!state.firstChild) state.append(make("span"));
  state.firstChild.className = `pill ${level}`;
  set(state.firstChild, word);
  set(address, endpoint.backup ? `${endpoint.address} (backup)` : endpoint.address);
  if (!words.firstChild) words.append(make("span"), " ", make("span", "since"));
  set(words.firstChild, endpoint.reason || "not probed");
  set(words.lastChild, endpoint.since_seconds === null ? "" : `for ${span(endpoint.since_seconds)}`);
  set(flight, endpoint.max_in_flight === null ? count(endpoint.in_flight) : `${endpoint.in_flight} / ${endpoint.max_in_flight}`);
  set(weight, String(endpoint.weight));
  const now = recent.endpoints.get(id);
  const last = latest.endpoints.get(id);
  const perSecond = (window, of) => (of && window.span > 0 ? of.requests / window.span : 0);
  set(rps, rate(perSecond(recent, now)));
  set(p99, now ? millis(quantile(now.counts, bounds, 0.99)).join(" ") : "–");
  const errors = minute.endpoints.get(id)?.errors ?? 0;
  set(failed, count(errors));
  failed.classList.toggle("hot", errors > 0);
  if (!history.firstChild) history.append(document.createElementNS(SVG, "svg"));
  sparkline(history.firstChild, remember(`endpoint\n${id}`, perSecond(latest, last)));
  let button = act.firstChild;
  if (!button) {
    button = make("button");
    button.type = "button";
    act.append(button);
  }
  set(button, endpoint.draining ? "Undrain" : "Drain");
  button.title = endpoint.draining ? "Give it requests again" : "Let it finish what it has, and give it nothing new";
  const others = upstream.endpoints.filter((other) => other.eligible && other !== endpoint).length;
  button.onclick = () => drain(button, upstream.name, endpoint, others);
}

async function drain(button, upstream, endpoint, others) {
  const verb = endpoint.draining ? "undrain" : "drain";
  const last = verb === "drain" && endpoint.eligible && !others;
  if (last && !window.confirm(`${endpoint.address} is the last endpoint of ${upstream} that takes requests. Drain it all the same?`)) return;
  button.disabled = true;
  try {
    const path = `/api/v1/upstreams/${encodeURIComponent(upstream)}/endpoints/${encodeURIComponent(endpoint.address)}/${verb}`;
    const response = await fetch(path, { method: "POST" });
    if (!response.ok) window.alert((await response.json()).error);
  } catch (error) {
    window.alert(`The proxy did not answer: ${error.message}`);
  } finally {
    button.disabled = false;
  }
  update();
}

function drawRejections(minute) {
  const body = byId("rejections").querySelector("tbody");
  const columns = [["Reason", "address"], ["Last minute", "n"], ["Total", "n"], ["What the client reads", "words"]];
  const byReason = new Map();
  for (const one of minute.rejections.values()) {
    const all = byReason.get(one.reason) ?? { ...one, count: 0, total: 0 };
    all.count += one.count;
    all.total += one.total;
    byReason.set(one.reason, all);
  }
  const sorted = [...byReason.values()].sort((a, b) => b.count - a.count || b.total - a.total);
  for (const one of sorted) {
    const line = row(body, `rejection\n${one.reason}`, columns);
    body.append(line);
    set(line.cells[0], `${one.status} ${one.reason}`);
    set(line.cells[1], count(one.count));
    line.cells[1].classList.toggle("hot", one.count > 0 && one.status >= 500);
    set(line.cells[2], count(one.total));
    set(line.cells[3], one.sentence);
  }
  forgetUnseen("rejection\n");
  byId("rejections").classList.toggle("filled", sorted.length > 0);
}

function drawRoutes(recent, bounds) {
  const body = byId("routes").querySelector("tbody");
  const columns = [
    ["Route", "address"], ["Listener", ""], ["Upstream", ""], ["Requests/s", "n"], ["5xx", "n"], ["p50", "n"],
    ["p99", "n"], ["Total", "n"],
  ];
  let any = false;
  for (const [key, route] of recent.routes) {
    if (!route.total) continue;
    any = true;
    const line = row(body, `route\n${key}`, columns);
    const [name, listener, upstream, rps, errors, p50, p99, total] = line.cells;
    set(name, route.route || (route.upstream ? "(the listener's own)" : "(none took it)"));
    set(listener, route.listener);
    set(upstream, route.upstream || "–");
    set(rps, rate(recent.span > 0 ? route.requests / recent.span : 0));
    set(errors, percent(route.errors, route.requests));
    errors.classList.toggle("hot", route.errors > 0);
    set(p50, millis(quantile(route.counts, bounds, 0.5)).join(" "));
    set(p99, millis(quantile(route.counts, bounds, 0.99)).join(" "));
    set(total, count(route.total));
  }
  forgetUnseen("route\n");
  byId("routes").classList.toggle("filled", any);
}

const CHANGES = {
  up: ["up", "good"], down: ["down", "bad"], ejected: ["ejected", "bad"], returned: ["returned", "good"],
  drained: ["drained", "warn"], undrained: ["undrained", "good"],
  weighted: ["weight", "quiet"], reloaded: ["reloaded", "good"], reload_refused: ["refused", "bad"],
};

function drawChanges(changes) {
  const list = changes.slice(0, 50).map((change) => {
    const [word, level] = CHANGES[change.kind] ?? [change.kind, "quiet"];
    const when = make("time", "", `${span(change.ago_seconds)} ago`);
    when.title = new Date(change.unix_seconds * 1000).toLocaleString();
    const where = change.endpoint ? `${change.endpoint} in ${change.upstream}: ` : "";
    return make("li", "", when, make("span", `pill ${level}`, word), make("span", change.words.includes("\n") ? "text report" : "text", where + change.words.trimEnd()));
  });
  byId("changes").querySelector("ol").replaceChildren(...list);
  byId("changes").classList.toggle("filled", list.length > 0);
}

function drawFacts(status, stats) {
  const reload = stats.reload.unix_seconds;
  const facts = [["version", status.version], ["up", span(status.uptime_seconds)]];
  facts.push(["workers", String(status.workers)]);
  for (const listener of status.listeners) facts.push([listener.name, listener.address]);
  if (reload) facts.push(["configuration of", new Date(reload * 1000).toLocaleTimeString()]);
  if (!stats.reload.successful) facts.push(["last reload", "refused"]);
  if (stats.access_log_dropped) facts.push(["access lines lost", count(stats.access_log_dropped)]);
  byId("facts").replaceChildren(...facts.map(([name, value]) => make("div", "", make("dt", "", name), make("dd", "", value))));
}

function pill(word, level) {
  const ready = byId("ready");
  ready.className = `pill ${level}`;
  set(ready, word);
}

function verdict(level, head, points) {
  byId("verdict").className = level;
  set(byId("verdict-head"), head);
  const list = byId("verdict-points");
  if ([...list.children].map((point) => point.textContent).join("\n") !== points.join("\n")) {
    list.replaceChildren(...points.map((point) => make("li", "", point)));
  }
  document.title = `${level === "good" ? "" : level === "bad" ? "✖ " : "! "}Evenkeel`;
}

function draw(status, stats) {
  const last = samples[samples.length - 1];
  if (last && stats.uptime_seconds < last.stats.uptime_seconds) {
    samples.length = 0; // it was restarted
    lines.clear();
  }
  samples.push({ stats });
  while (samples.length > 2 && stats.uptime_seconds - samples[1].stats.uptime_seconds > ERROR_SECONDS) samples.shift();
  const [latest, recent, minute] = [EVERY_MS / 2000, RATE_SECONDS, ERROR_SECONDS].map(since);
  const bounds = stats.bounds_seconds;
  document.body.classList.remove("offline");
  if (status.draining) pill("stopping", "warn");
  else if (status.ready) pill("ready", "good");
  else pill("starting", "warn");
  drawFacts(status, stats);
  verdict(...judge(status, stats, minute));
  drawTiles(status, recent, latest, bounds);
  drawUpstreams(status, recent, latest, minute, bounds);
  drawRejections(minute);
  drawRoutes(recent, bounds);
  drawChanges(status.changes);
}

async function ask(path) {
  const response = await fetch(path, { signal: AbortSignal.timeout(5000) });
  if (!response.ok) throw new Error(`${path} was answered with ${response.status}`);
  return response.json();
}

async function update() {
  clearTimeout(timer);
  try {
    draw(...await Promise.all([ask("/api/v1/status"), ask("/api/v1/stats")]));
  } catch (error) {
    document.body.classList.add("offline");
    pill("no answer", "bad");
    verdict("bad", "The proxy does not answer.", [`${error.message}; what is shown below is old.`]);
  }
  clearTimeout(timer);
  timer = setTimeout(update, EVERY_MS);
}

update();
