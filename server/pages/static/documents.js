// A collection's page: files on their way in, what becomes of each, the list as it changes, and the search.

import { $, $$, api, collectionAt, documentsAt, element, finished, marked, pageAt, post } from "./platform.js";
import { pageNoun } from "./place.js";
import { batches, dropped, picked, send } from "./uploading.js";

const { collection, followsJobs, mostFiles, pending } = $("#library").dataset;
const SHOWN_FILES = 300;
const LOOK_EVERY_MS = 2000;

// What was done is said once: a reloaded page says it no more.
const here = new URL(location.href);
here.searchParams.delete("done");
history.replaceState(null, "", here);

// ── the list ────────────────────────────────────────────────────────────────────────────────────────────────────────
/** Brings list and counts up to date. A row in which somebody is at work stays as it is. */
async function refresh() {
  const page = new DOMParser().parseFromString(await (await api(here)).text(), "text/html");
  $("#counts").replaceChildren(...$("#counts", page).childNodes);
  const [now, next] = [$("#list"), $("#list", page)];
  const busy = (row) => row.contains(document.activeElement) || $("details[open]", row);
  const rows = new Map($$("tr[id]", now).map((row) => [row.id, row]));
  for (const row of $$("tr[id]", next)) {
    const old = rows.get(row.id);
    if (old && (busy(old) || old.isEqualNode(row))) row.replaceWith(old);
  }
  now.replaceChildren(...next.childNodes);
}

let refreshing;
/** Refreshes soon, once for all that happens until then. */
function refreshSoon() {
  refreshing ??= setTimeout(() => {
    refreshing = undefined;
    refresh().catch(() => {});
  }, 400);
}

/** Waits until nothing of the collection is to be read any more, where no job can be followed. */
async function settled() {
  for (;;) {
    await new Promise((done) => setTimeout(done, LOOK_EVERY_MS));
    const { documents } = await (await api(collectionAt(collection))).json();
    refreshSoon();
    if (!documents.queued && !documents.processing) return;
  }
}

const followed = new Set();
// a browser has six connections to a server for all its tabs, and each stream of events holds one
const STREAMS = 2;
const waiting = { ours: [], others: [] };
const held = { ours: 0, others: 0 };
/** Follows the job to its end, if nothing does yet, when a stream is free: events are told from the first. `ours`: it was added
 * here, and takes whichever is free; all the others have one between them. `step` as of `finished`. Gives the job, also one that
 * was paused and has come to no end; nothing where it cannot be seen. */
function follow(id, ours = false, step = () => {}) {
  if (followed.has(id)) return Promise.resolve(undefined);
  followed.add(id);
  return new Promise((done, failed) => {
    waiting[ours ? "ours" : "others"].push(() => toItsEnd(id, step).then(done, failed));
    openStreams();
  });
}

function openStreams() {
  while (held.ours + held.others < STREAMS) {
    const whose = waiting.ours.length ? "ours" : "others";
    if (!waiting[whose].length || (whose === "others" && held.others)) return;
    held[whose] += 1;
    waiting[whose].shift()().finally(() => {
      held[whose] -= 1;
      openStreams();
    });
  }
}

async function toItsEnd(id, step) {
  try {
    if (followsJobs !== undefined) {
      const now = await (await api(`/api/v1/jobs/${encodeURIComponent(id)}`)).json();
      if (now.paused) return now; // it may wait for days, and would keep the stream from others
      return await finished(id, (job, part) => {
        step(job, part);
        refreshSoon();
      });
    }
  } catch (error) {
    if (![403, 404].includes(error.status)) throw error; // somebody else's job
  }
  await settled();
  return undefined;
}
for (const id of new Set($$("[data-job]").map((row) => row.dataset.job))) follow(id).catch(() => {});
if (pending !== "0" && !$("[data-job]")) settled().catch(() => {}); // they are beyond what the list shows

// ── add documents ───────────────────────────────────────────────────────────────────────────────────────────────────
const STATES = { sending: "sending", waiting: "waiting", ready: "ready", failed: "failed", unchanged: "unchanged", removed: "deleted" };
const KINDS = { ready: "good", unchanged: "good", failed: "bad" };

const advice = (code) => ($(`#advice`)?.content.querySelector(`[data-code="${CSS.escape(code ?? "")}"]`) ?? $(`#advice`)?.content.querySelector('[data-code=""]'))?.textContent ?? "";

/** The files of one upload and where each of them is, shown one below the other. */
class Board {
  constructor(files) {
    this.total = files.length;
    this.rows = new Map();
    if (!beingRead) $("#uploads").replaceChildren();
    for (const { path } of files.slice(0, SHOWN_FILES)) this.row(path);
    if (files.length > SHOWN_FILES) $("#uploads").append(element("li", `… and ${files.length - SHOWN_FILES} more, of which those that fail are named.`, { class: "quiet" }));
  }

  row(path) {
    if (!this.rows.has(path)) {
      const item = element("li");
      item.append(element("span", path, { class: "name" }), element("span", STATES.sending, { class: "badge wait" }));
      $("#uploads").append(item);
      this.rows.set(path, { item, state: "sending" });
    }
    return this.rows.get(path);
  }

  set(path, state, error) {
    if (!this.rows.has(path) && !error) return; // one of those beyond the shown
    const row = this.row(path);
    row.state = state;
    const badge = $(".badge", row.item);
    badge.textContent = STATES[state] ?? state;
    badge.className = `badge ${KINDS[state] ?? "wait"}`;
    $(".why", row.item)?.remove();
    if (error) {
      const why = element("small", undefined, { class: "why" });
      if (error.code) why.append(element("code", error.code), " ");
      why.append(`${error.message ?? ""} `, element("b", advice(error.code)));
      row.item.append(why);
    }
  }
}

let beingRead = 0;
let latest;
/** Sends the files; what becomes of each is told as it is read, while others may be added already. */
async function add(files) {
  if (!files.length) return;
  const [box, bar, line] = [$("#upload"), $("#progress"), $("#upload-status")];
  const [bytes, board] = [files.reduce((sum, { file }) => sum + file.size, 0) || 1, new Board(files)];
  const say = (text) => {
    if (latest === board) line.textContent = text;
  };
  const move = (part) => {
    if (latest === board) bar.value = Math.max(bar.value, part);
  };
  const tell = (error) => say(`Not all could be sent: ${error.message} ${advice(error.code)}`);
  const inputs = $$("#drop input");
  latest = board;
  for (const input of inputs) input.disabled = true;
  box.hidden = false;
  [bar.max, bar.value] = [1, 0];
  say(`Sending ${files.length} file${files.length === 1 ? "" : "s"}…`);
  const sum = { ready: 0, failed: 0, unchanged: 0, members: 0 };
  addEventListener("beforeunload", stay); // until all are sent
  const work = [];
  try {
    let gone = 0;
    for (const batch of batches(files, Number(mostFiles))) {
      const accepted = await send(documentsAt(collection), batch, {
        sent: (now) => move(Math.min(1, (gone + now) / bytes) / 2),
        refused: ({ path }, error) => {
          sum.failed += 1;
          board.set(path, "failed", error);
        },
      });
      gone += batch.reduce((all, { file }) => all + file.size, 0);
      for (const { job_id, documents } of accepted) {
        for (const { name } of documents) board.set(name, "waiting");
        const one = reading(job_id, documents, board, sum, (part, text) => {
          move(0.5 + (0.5 * part) / files.length);
          say(text);
        });
        one.catch(() => {}); // told below, unless something else is first
        work.push(one);
      }
      refreshSoon();
    }
    say("Sent. The files are being read…");
    beingRead += 1;
    Promise.all(work)
      .then((paused) => {
        move(1);
        const waits = paused.reduce((all, each) => all + each, 0);
        const parts = [`${sum.ready} of ${files.length} ready`, sum.unchanged && `${sum.unchanged} unchanged`, sum.failed && `${sum.failed} failed`, sum.members && `${sum.members} failed within archives`, waits && `${waits} paused`];
        say(`Done: ${parts.filter(Boolean).join(", ")}.`);
      }, tell)
      .finally(() => {
        beingRead -= 1;
        refreshSoon();
      });
  } catch (error) {
    tell(error);
  } finally {
    removeEventListener("beforeunload", stay);
    for (const input of inputs) [input.disabled, input.value] = [false, ""];
    refreshSoon();
  }
}

let adding = Promise.resolve();
/** What is dropped meanwhile waits until the files before it are sent. */
function addNext(files) {
  adding = adding.then(() => add(files));
}
const stay = (leaving) => leaving.preventDefault();

/** Follows what was accepted until each of it is read; how many are left as their job is paused. Members of an archive are none
 * of the files: those that fail are told. `moved` gets how many have ended, and a line about it. */
async function reading(id, documents, board, sum, moved) {
  const left = new Map(documents.map(({ id: document, name }) => [document, name]));
  let failed = 0;
  const job = await follow(id, true, (current, part) => {
    if (left.has(part?.id) && part.state === "ready") {
      sum.ready += 1;
      board.set(left.get(part.id), "ready");
      left.delete(part.id);
    }
    for (const error of current.errors) {
      failed += left.delete(error.document_id);
      board.set(error.document, "failed", error);
    }
    const { done, total } = current.progress;
    moved(sum.ready + sum.failed + current.failed, current.state === "queued" ? "Waiting: other documents are being read." : `Reading: ${done} of ${total}.`);
  });
  for (const [document, name] of left) {
    const { state, error } = job?.skipped >= left.size ? { state: "unchanged" } : await stateOf(document);
    if (state === "failed") failed += 1;
    else if (state in sum) sum[state] += 1;
    board.set(name, state, error ?? undefined);
  }
  sum.failed += failed;
  sum.members += Math.max(0, (job?.failed ?? 0) - failed);
  return job?.paused ? left.size : 0;
}

/** Where a document is now; deleted, if it is gone. */
const stateOf = (document) =>
  api(`${documentsAt(collection)}/${encodeURIComponent(document)}`).then((answer) => answer.json(), () => ({ state: "removed" }));

const drop = $("#drop");
if (drop) {
  for (const name of ["dragenter", "dragover"]) {
    drop.addEventListener(name, (dragged) => {
      dragged.preventDefault();
      drop.classList.add("over");
    });
  }
  for (const name of ["dragleave", "drop"]) drop.addEventListener(name, () => drop.classList.remove("over"));
  drop.addEventListener("drop", async (given) => {
    given.preventDefault();
    addNext(await dropped(given.dataTransfer));
  });
  for (const input of $$("input", drop)) {
    input.addEventListener("change", () => addNext(picked(input)));
    if (input.files.length) addNext(picked(input)); // chosen before this script had come
  }
}

// ── search ──────────────────────────────────────────────────────────────────────────────────────────────────────────
const LABELS = { fused: "together", dense: "meaning", lexical: "words", rerank: "reranked" };
$("#search-form").addEventListener("submit", async (submitted) => {
  submitted.preventDefault();
  const [status, found] = [$("#search-status"), $("#found")];
  status.textContent = "Searching…";
  try {
    const body = { query: $("#query").value, mode: $("#mode").value, limit: 10, highlight: true };
    const { results, degraded, steps, warnings } = await (await post(`${collectionAt(collection)}/search`, body)).json();
    found.replaceChildren(...results.map(passage));
    const notes = [
      results.length ? `${results.length} passage${results.length === 1 ? "" : "s"}, the best first.` : "Nothing was found.",
      degraded && "A part of the search did not answer: more may be found later.",
      ...steps.map(({ step, skipped }) => (skipped ? `Skipped: ${step} (${skipped}).` : `Step: ${step}.`)),
      ...warnings,
    ];
    status.textContent = notes.filter(Boolean).join(" ");
  } catch (error) {
    found.replaceChildren();
    status.textContent = error.message;
  }
});

function passage(result) {
  const item = element("li");
  const head = element("p", undefined, { class: "source-line" });
  head.append(element("a", result.document, { href: pageAt(collection, result) }), result.page ? `, ${pageNoun(result.document)} ${result.page}` : "");
  const text = element("p", undefined, { class: "passage" });
  const stretches = (result.highlights ?? []).map(({ start, end }) => ({ start: start - result.start, end: end - result.start }));
  text.append(...marked(result.text, stretches));
  const scores = element("dl", undefined, { class: "scores", "aria-label": "Scores" });
  for (const [name, label] of Object.entries(LABELS)) {
    const score = result.scores[name];
    if (score === null) continue;
    const pair = element("div");
    pair.append(element("dt", label), element("dd", score.toFixed(name === "lexical" ? 1 : 3)));
    scores.append(pair);
  }
  item.append(head, text, scores);
  return item;
}
