// The dashboard goes on by server-sent events: sums, charts and lists follow what happens.

import { $, element } from "./platform.js";
import { draw, figureAt, shortened, words } from "./charts.js";

const board = $("#board");
const live = $("#live");
const state = $("[data-state]", live);
const SEVERITIES = { warning: "wait", critical: "bad" };
const STATES = { killed: ["bad", "switched off"], loading: ["wait", "loading"] };
const BREAKERS = { open: ["bad", "left alone"], half_open: ["wait", "tried again"] };
let source;

function say(text, tone) {
  live.className = `live ${tone}`;
  if (state.textContent !== text) state.textContent = text;
}

const time = (moment) => `${moment.slice(0, 10)} ${moment.slice(11, 16)}`;

function tiles(now) {
  const told = {
    calls: words(now.calls_a_minute, "count"),
    failed: words(now.failed_share, "share"),
    p95: words(now.latency_p95_ms, "ms"),
    p50: `half within ${words(now.latency_p50_ms, "ms")}`,
    hour: words(now.cost_hour_usd, "usd"),
    tokens: `${words(now.tokens_hour, "count")} tokens`,
    today: words(now.cost_today_usd, "usd"),
    month: `${words(now.cost_month_usd, "usd")} this month`,
  };
  for (const [key, text] of Object.entries(told)) $(`[data-now=${key}]`, board).textContent = text;
}

function cell(text, label) {
  return element("td", text, { "data-label": label });
}

function row(head, cells) {
  const line = element("tr");
  line.append(head, ...cells);
  return line;
}

/** The table beside a chart. */
function table(place, { labels, series, marks, unit }) {
  const heads = element("tr");
  const names = [$("thead th", place).textContent, ...series.map(({ name }) => name), ...(marks.length ? ["Anomalies"] : [])];
  heads.append(...names.map((name) => element("th", name, { scope: "col" })));
  $("thead", place).replaceChildren(heads);
  const rows = labels.map((label, at) => {
    const cells = series.map(({ name, values }) => cell(words(values[at], unit), name));
    const said = marks.filter((mark) => mark.label === label).map(({ text }) => text).join("; ");
    return row(element("th", label, { scope: "row" }), marks.length ? [...cells, cell(said || "–", "Anomalies")] : cells);
  });
  $("tbody", place).replaceChildren(...rows.reverse());
}

const METRICS = { latency_ms: "latency", first_token_ms: "first token", token_ms: "time per token", error_rate: "failures", refusal_rate: "refusals", feedback: "feedback", eval_score: "evaluation score", cost_usd: "cost" };
const MARKED = { traffic: ["error_rate", "refusal_rate", "feedback", "eval_score"], latency: ["latency_ms", "first_token_ms", "token_ms"], cost: ["cost_usd"], tokens: ["tokens"] };

function anomaly(one) {
  const unit = { ms: "ms", share: "share", usd: "usd", tokens: "count" }[one.unit] ?? "number";
  const change = `${words(one.before, unit)} to ${words(one.after, unit)}`;
  const text = `${one.alias} at ${one.provider} ${one.model}: ${METRICS[one.metric] ?? one.metric} ${one.kind}, ${change}`;
  return one.cause ? `${text} (${one.cause})` : text;
}

function anomalies(rows) {
  $("#anomalies").hidden = !rows.length;
  const items = rows.map((one) => {
    const item = element("li");
    const tone = one.state !== "open" ? "" : one.worse ? "bad" : "wait";
    item.append(element("span", one.state, { class: `badge ${tone}` }), " ", element("span", anomaly(one)));
    item.append(" ", element("span", `since ${time(one.since)}`, { class: "quiet" }));
    return item;
  });
  $("#anomalies ul").replaceChildren(...items);
}

function charts({ minutes, anomalies: seen }) {
  const [labels, shorts] = [minutes.at, minutes.at.map(shortened)];
  const series = {
    traffic: [
      { name: "answered", values: minutes.answered },
      { name: "from the cache", values: minutes.cached },
      { name: "failed", values: minutes.failed, tone: "bad" },
    ],
    latency: [
      { name: "half within", values: minutes.latency_p50_ms },
      { name: "95 % within", values: minutes.latency_p95_ms },
    ],
    cost: Object.entries(minutes.cost_usd).map(([name, values]) => ({ name, values })),
    tokens: [{ name: "tokens", values: minutes.tokens }],
  };
  for (const [id, shown] of Object.entries(series)) {
    const place = document.getElementById(id);
    const marks = seen.filter((one) => one.minute && MARKED[id].includes(one.metric));
    const told = marks.map((one) => ({ label: one.minute, text: anomaly(one), value: null }));
    const figure = { ...figureAt(place), labels, shorts, series: shown, marks: told };
    draw(place, figure);
    if ($("details", place).open) table(place, figure);
  }
}

for (const place of document.querySelectorAll("figure[data-figure]")) {
  $("details", place).addEventListener("toggle", () => table(place, figureAt(place)));
}

function aliases(rows) {
  $("#aliases").hidden = !rows.length;
  $("[data-empty=aliases]").hidden = rows.length > 0;
  const lines = rows.map((one) =>
    row(element("th", one.alias, { scope: "row" }), [
      cell(words(one.calls, "count"), "Calls"),
      cell(words(one.failed, "count"), "Failed"),
      cell(words(one.tokens, "count"), "Tokens"),
      cell(words(one.cost_usd, "usd"), "Cost"),
    ]),
  );
  $("#aliases tbody").replaceChildren(...lines);
}

const SVG = "http://www.w3.org/2000/svg";
function bar(attributes) {
  const rect = document.createElementNS(SVG, "rect");
  for (const [name, value] of Object.entries({ height: 6, ...attributes })) rect.setAttribute(name, value);
  return rect;
}

function budgets(rows, everywhere) {
  $("[data-empty=budgets]").hidden = rows.length > 0;
  const items = rows.map((one) => {
    const share = one.limit ? one.spent / one.limit : 1;
    const unit = one.unit === "usd" ? "usd" : "count";
    const drawing = document.createElementNS(SVG, "svg");
    drawing.setAttribute("viewBox", "0 0 100 6");
    drawing.setAttribute("preserveAspectRatio", "none");
    drawing.setAttribute("aria-hidden", "true");
    drawing.append(bar({ class: "whole", width: 100 }));
    drawing.append(bar({ class: share >= 1 ? "bad" : share >= 0.8 ? "wait" : "good", width: Math.min(100, share * 100) }));
    if (one.elapsed !== null) drawing.append(bar({ class: "elapsed", x: one.elapsed * 99, width: 0.7 }));
    const item = element("li");
    const about = [everywhere && one.tenant, one.scope, one.window].filter(Boolean).join(" · ");
    const over = one.elapsed === null ? "" : `; ${words(one.elapsed, "share")} of its time is over`;
    const spent = `${words(one.spent, unit)} of ${words(one.limit, unit)}, ${words(share, "share")}${over}`;
    item.append(element("b", one.name || one.scope), " ", element("span", about, { class: "quiet" }), drawing, element("span", spent));
    return item;
  });
  $("#budgets").replaceChildren(...items);
}

/** As the server has it at first: by its breaker and its calls. */
function health(one) {
  const known = STATES[one.state] ?? BREAKERS[one.breaker];
  if (known) return known;
  const [last, wrong] = [one.last_answer_age_s, one.last_error_age_s];
  if (one.failures || (wrong !== null && (last === null || wrong < last))) return ["wait", "failing"];
  if (one.state !== "ready") return one.state === "failed" ? ["bad", "probe failed"] : ["", one.state];
  return one.last_answer_age_s === null ? ["", "not called yet"] : ["good", "well"];
}

function ago(age) {
  if (age === null) return "–";
  return age < 60 ? "just now" : `${Math.floor(age / 60)} min ago`;
}

function providers(rows) {
  const body = $("#providers tbody");
  if (!body) return;
  const seconds = (value) => words(value === null ? null : value * 1000, "ms");
  const lines = rows.map((one) => {
    const [tone, text] = health(one);
    const head = element("th", one.model, { scope: "row" });
    head.append(element("small", `${one.provider} · ${one.aliases.join(", ")}${one.tried ? " · being tried" : ""}`));
    const badge = element("td", undefined, { "data-label": "State" });
    badge.append(element("span", text, { class: `badge ${tone}` }));
    const error = `${one.last_error ? `${one.last_error.replaceAll("_", " ")}, ` : ""}${ago(one.last_error_age_s)}`;
    const cells = [cell(`${one.in_flight}`, "Calls now"), cell(seconds(one.first_token_s), "First token")];
    return row(head, [badge, ...cells, cell(seconds(one.answer_s), "Answer"), cell(ago(one.last_answer_age_s), "Last answer"), cell(error, "Last error")]);
  });
  body.replaceChildren(...lines);
}

function alerts(rows, known) {
  const names = Object.fromEntries(known.filter(({ name }) => name).map(({ id, name }) => [id, name]));
  const shown = { budget: names, metric: METRICS };
  const subject = ([kind, value]) => shown[kind]?.[value] ?? value;
  $("#alerts").hidden = !rows.length;
  const items = rows.map((one) => {
    const item = element("li");
    const of = Object.entries(one.subject).map(subject).join(" · ");
    item.append(element("span", one.severity, { class: `badge ${SEVERITIES[one.severity] ?? ""}` }), " ");
    item.append(element("b", one.kind.replaceAll("_", " ")), " ", element("span", one.cause ? `${of} (${one.cause})` : of));
    item.append(" ", element("span", `since ${time(one.since)}`, { class: "quiet" }));
    return item;
  });
  $("#alerts ul").replaceChildren(...items);
}

function show(told) {
  tiles(told.now);
  charts(told);
  anomalies(told.anomalies);
  alerts(told.alerts, told.budgets);
  aliases(told.aliases);
  budgets(told.budgets, told.tenant === null);
  providers(told.providers);
}

/** While somebody looks: a page in the background asks for nothing. */
function follow() {
  source?.close();
  source = undefined;
  if (document.hidden) return;
  source = new EventSource(board.dataset.stream);
  source.addEventListener("board", (told) => {
    show(JSON.parse(told.data));
    say("live", "good");
  });
  source.addEventListener("error", (told) => {
    if (told.data) {
      source.close();
      say(JSON.parse(told.data).error?.message ?? "ended", "bad");
    } else if (source.readyState === EventSource.CLOSED) say("not live: reload the page", "bad");
    else say("connecting again …", "wait");
  });
}

document.addEventListener("visibilitychange", follow);
follow();
