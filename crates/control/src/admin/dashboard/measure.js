"use strict";

// The dashboard's first half: elements, numbers, and what was counted between two looks.
// Every text from outside reaches the page as textContent; nothing here writes markup.

const EVERY_MS = 2000;
const RATE_SECONDS = 10;
const ERROR_SECONDS = 60;
const POINTS = 150; // five minutes
const SVG = "http://www.w3.org/2000/svg";

/** Rejections that endpoints cause; those that clients cause have a status below 500 or none. */
const THEIRS = new Set([
  "endpoints_down", "endpoints_busy", "queue_full", "queue_timeout", "endpoints_drained", "unresolved_name",
  "connect_refused", "connect_failed", "connect_timeout", "upstream_closed", "response_malformed",
  "response_header_too_large", "response_timeout", "response_incomplete",
]);
const OURS = new Set(["no_route", "connection_limit", "shutting_down", "internal_error"]);

const samples = []; // { stats }, of the last minute and a bit, but none from before this page was opened
const lines = new Map(); // sparkline points by name
const kept = new Map(); // table rows by key
let timer;

// Elements

function make(tag, name, ...children) {
  const element = document.createElement(tag);
  if (name) element.className = name;
  element.append(...children);
  return element;
}

function set(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

function byId(id) {
  return document.getElementById(id);
}

/** The row of this key, made once; rows keep their place in the order they are asked for. */
function row(body, key, columns) {
  let row = kept.get(key);
  if (!row) {
    row = make("tr");
    for (const [label, name] of columns) {
      const cell = make("td", name);
      cell.dataset.label = label;
      row.append(cell);
    }
    kept.set(key, row);
  }
  row.seen = true;
  if (row.parentNode !== body) body.append(row);
  return row;
}

function forgetUnseen(prefix) {
  for (const [key, row] of kept) {
    if (!key.startsWith(prefix)) continue;
    if (!row.seen) {
      row.remove();
      kept.delete(key);
    }
    row.seen = false;
  }
}

function sparkline(svg, points, most) {
  if (!svg.firstChild) {
    svg.setAttribute("viewBox", "0 0 100 30");
    svg.setAttribute("preserveAspectRatio", "none");
    svg.setAttribute("aria-hidden", "true");
    for (const name of ["base", "area", "line"]) {
      const path = document.createElementNS(SVG, "path");
      path.setAttribute("class", name);
      svg.append(path);
    }
    svg.firstChild.setAttribute("d", "M0 29.5L100 29.5");
  }
  const top = Math.max(most ?? 0, ...points, 1e-9);
  const step = 100 / (POINTS - 1);
  const from = POINTS - points.length;
  const at = points.map((value, i) => `${((from + i) * step).toFixed(2)} ${(29 - (value / top) * 27).toFixed(2)}`);
  const line = at.length > 1 ? `M${at.join("L")}` : "";
  svg.lastChild.setAttribute("d", line);
  svg.childNodes[1].setAttribute("d", line && `${line}L100 30L${(from * step).toFixed(2)} 30Z`);
}

function remember(name, value) {
  const points = lines.get(name) ?? [];
  points.push(value ?? 0);
  if (points.length > POINTS) points.shift();
  lines.set(name, points);
  return points;
}

// Numbers

function count(value) {
  if (value >= 1e6) return `${(value / 1e6).toFixed(1)} M`;
  if (value >= 1e4) return `${(value / 1e3).toFixed(1)} k`;
  return String(Math.round(value));
}

function rate(value) {
  return value > 0 && value < 9.95 ? value.toFixed(1) : count(value);
}

function percent(part, whole) {
  if (!whole || !part) return "0 %";
  const value = (part * 100) / whole;
  return value < 0.01 ? "<0.01 %" : `${value < 1 ? value.toFixed(2) : value.toFixed(1)} %`;
}

function millis(seconds) {
  if (seconds === null) return ["–", ""];
  if (seconds >= 1) return [seconds.toFixed(2), "s"];
  const ms = seconds * 1000;
  return [ms < 10 ? ms.toFixed(2) : ms.toFixed(0), "ms"];
}

function span(seconds) {
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min`;
  if (seconds < 86400) return `${Math.floor(seconds / 3600)} h ${Math.floor((seconds % 3600) / 60)} min`;
  return `${Math.floor(seconds / 86400)} d ${Math.floor((seconds % 86400) / 3600)} h`;
}

function plural(n, what) {
  return `${n} ${what}${n === 1 ? "" : "s"}`;
}

/** What "lately" is: this page knows nothing of the time before it was opened. */
function lately() {
  const seconds = samples[samples.length - 1].stats.uptime_seconds - samples[0].stats.uptime_seconds;
  return seconds > ERROR_SECONDS - 5 ? "the last minute" : `the ${Math.round(seconds)} s since this page was opened`;
}

/** Quantile of bucket counts, linear within a bucket, as Prometheus does it. Null without samples. */
function quantile(counts, bounds, p) {
  const total = counts.reduce((sum, n) => sum + n, 0);
  if (!total) return null;
  let below = 0;
  for (let i = 0; i < bounds.length; i += 1) {
    if (counts[i] && below + counts[i] >= p * total) {
      const lower = i ? bounds[i - 1] : 0;
      return lower + (bounds[i] - lower) * Math.max(0, (p * total - below) / counts[i]);
    }
    below += counts[i];
  }
  return bounds[bounds.length - 1];
}

const routeKey = (route) => [route.listener, route.route, route.upstream].join("\n");
const endpointKey = (endpoint) => [endpoint.upstream, endpoint.endpoint].join("\n");
const rejectionKey = (rejection) => [rejection.listener, rejection.reason].join("\n");

/** What was counted between the sample about `seconds` ago and the latest one. */
function since(seconds) {
  const now = samples[samples.length - 1];
  let before = samples[0];
  for (const sample of samples) {
    if (now.stats.uptime_seconds - sample.stats.uptime_seconds >= seconds) before = sample;
  }
  const span = now.stats.uptime_seconds - before.stats.uptime_seconds;
  const differences = (list, key, fields) => {
    const old = new Map(before.stats[list].map((item) => [key(item), item]));
    return new Map(now.stats[list].map((item) => {
      const was = old.get(key(item));
      const less = (field) => Math.max(0, item[field] - (was ? was[field] : 0));
      const difference = { ...item, total: item.requests ?? item.count };
      for (const field of fields) difference[field] = less(field);
      if (item.duration) {
        difference.counts = item.duration.counts.map((n, i) => Math.max(0, n - (was ? was.duration.counts[i] : 0)));
      }
      return [key(item), difference];
    }));
  };
  return {
    span,
    routes: differences("routes", routeKey, ["requests", "errors"]),
    endpoints: differences("endpoints", endpointKey, ["requests", "errors", "connect_failures"]),
    rejections: differences("rejections", rejectionKey, ["count"]),
  };
}

function sum(items, field) {
  let total = 0;
  for (const item of items.values()) total += item[field];
  return total;
}

function together(items) {
  const counts = [];
  for (const item of items.values()) item.counts.forEach((n, i) => { counts[i] = (counts[i] ?? 0) + n; });
  return counts;
}
