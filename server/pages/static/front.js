// The front page's behaviour. No framework, no build step: the page works without it but for asking and uploading.

import { thumbs } from "./feedback.js";
import { $, $$, api, documentsAt, element, events, finished, post, withCode } from "./platform.js";
import { CLOSEST, showPlace } from "./place.js";
import { batches, dropped, picked, send } from "./uploading.js";

// ── tabs and copying ────────────────────────────────────────────────────────────────────────────────────────────────
function select(tab) {
  for (const other of $$("[role=tab]", tab.parentElement)) other.setAttribute("aria-selected", String(other === tab));
}
document.addEventListener("click", async ({ target }) => {
  if (target.matches("[data-operation]")) {
    select(target);
    for (const part of $$(".operation", target.closest(".capability"))) part.hidden = part.dataset.name !== target.dataset.operation;
  } else if (target.matches("[data-show]")) {
    select(target);
    for (const part of $$("[data-example]", target.closest(".operation"))) part.hidden = part.dataset.example !== target.dataset.show;
  } else if (target.matches(".copy")) {
    const code = $("pre:not([hidden]) code", target.parentElement.parentElement);
    try {
      await navigator.clipboard.writeText(code.textContent);
      target.textContent = "Copied";
    } catch {
      getSelection().selectAllChildren(code); // no clipboard over plain HTTP: select, so that one key press copies
      target.textContent = "Selected";
    }
    setTimeout(() => (target.textContent = "Copy"), 1500);
  }
});

// ── what is running ─────────────────────────────────────────────────────────────────────────────────────────────────
function show(item, state, detail) {
  if (!item) return;
  $(".dot", item).className = `dot ${state}`;
  $("[data-state]", item).textContent = state === "failed" && detail ? `failed: ${detail}` : state;
}
/** How many jobs are done and failed: the page itself counts them all, a list of jobs shows the newest. */
async function countEnded() {
  const page = new DOMParser().parseFromString(await (await api("/")).text(), "text/html");
  $("[data-jobs-ended]").textContent = $("[data-jobs-ended]", page).textContent;
}
let jobsSeen;
/** Asks for what the page shows, and for nothing that its reader may not see. */
async function refresh() {
  await Promise.all([$("[data-part]") && showParts(), $("[data-jobs]") && showJobs()]);
}
async function showParts() {
  try {
    const health = await (await api("/api/v1/health")).json();
    for (const item of $$("[data-part]")) {
      const part = health[item.dataset.part];
      if (part) show(item, part.status, part.detail);
    }
    for (const model of health.models ?? []) {
      const first = model.deployments[0];
      show($$("[data-model]").find((item) => item.dataset.model === model.alias), first.state, first.detail);
    }
  } catch {
    for (const item of $$("[data-part]")) show(item, "failed", "no answer");
  }
}
async function showJobs() {
  try {
    const { results } = await (await api("/api/v1/jobs?limit=50")).json();
    const working = results.filter((job) => job.state === "queued" || job.state === "running").length;
    $("[data-jobs]").textContent = `${working} in work`;
    const states = results.map(({ id, state }) => id + state).join();
    if (jobsSeen !== undefined && jobsSeen !== states) await countEnded();
    jobsSeen = states;
    $("[data-jobs-dot]").className = `dot ${working ? "loading" : "ready"}`;
  } catch {
    $("[data-jobs-dot]").className = "dot failed";
  }
}
setInterval(() => document.hidden || refresh(), 5000);
refresh();

// ── ask ─────────────────────────────────────────────────────────────────────────────────────────────────────────────
const answer = $("#answer");
$("#question-form")?.addEventListener("submit", async (submitted) => {
  submitted.preventDefault();
  const button = $("button", submitted.target);
  const text = $(".text", answer);
  button.disabled = true;
  answer.hidden = false;
  answer.className = "";
  text.textContent = "Looking it up…";
  answer.scrollIntoView({ block: "nearest" });
  showCitations([]);
  $(".meta", answer).textContent = "";
  $(".thumbs", answer)?.remove();
  try {
    const body = { question: $("#question").value, collection: $("#collection").value, stream: true };
    let started = false;
    for await (const { event, data } of events(await post("/api/v1/rag", body))) {
      if (event === "token") {
        if (!started) text.textContent = "";
        started = true;
        text.textContent += data.text;
      } else if (event === "citations") {
        showCitations(data.citations);
      } else if (event === "done") {
        if (data.output !== undefined) text.replaceChildren(...withCode(data.output));
        if (data.nearest?.length) showCitations(data.nearest, CLOSEST);
        else if (data.citations) showCitations(data.citations);
        if (answer.dataset.judges && data.request_id) {
          $(".thumbs", answer)?.remove();
          answer.append(thumbs(data.request_id, { comments: answer.dataset.judges === "words" }));
        }
        if (data.model) $(".meta", answer).textContent = `${data.provider} · ${data.model} · ${data.usage?.total_tokens ?? 0} tokens`;
      } else if (event === "error") {
        throw new Error(data.error?.message ?? data.message);
      }
    }
  } catch (error) {
    answer.className = "failed";
    text.textContent = error.message;
  } finally {
    button.disabled = false;
    answer.scrollIntoView({ block: "nearest" });
  }
});
$("#question")?.addEventListener("keydown", (pressed) => {
  if (pressed.key === "Enter" && !pressed.shiftKey && !pressed.isComposing) {
    pressed.preventDefault();
    $("#question-form").requestSubmit();
  }
});

/** What an answer is from; `closest` says of them where they are no such thing. */
function showCitations(citations, closest) {
  $(".closest", answer)?.remove();
  if (closest) $(".citations", answer).before(element("p", closest, { class: "closest" }));
  const collection = $("#collection").value;
  const items = citations.map((citation) => {
    const item = element("li");
    item.append(element("blockquote", citation.quote));
    const source = element("cite");
    const page = citation.page ? `, page ${citation.page}` : "";
    const link = element("button", citation.document, { type: "button", title: "Show the place in the text" });
    link.addEventListener("click", () => showPlace($("#place"), collection, citation).catch((error) => alert(error.message)));
    source.append(link, `${page} · characters ${citation.start}–${citation.end}`);
    item.append(source);
    return item;
  });
  $(".citations", answer).replaceChildren(...items);
}

// ── what a collection holds ─────────────────────────────────────────────────────────────────────────────────────────
const holdings = $("#holdings");
const dropCollection = $("#drop-collection");
async function listDocuments() {
  const collection = $("#collection").value;
  if (!holdings.open || !collection) return;
  const { results, next_cursor } = await (await api(`${documentsAt(collection)}?limit=200`)).json();
  const items = results.map((held) => {
    const item = element("li");
    item.append(element("b", held.name), element("span", held.error?.message ?? held.state, { class: "quiet" }));
    if (dropCollection) item.append(deleting("Delete", `Delete “${held.name}”? It can no longer be asked.`, `${documentsAt(collection)}/${encodeURIComponent(held.id)}`));
    return item;
  });
  if (!items.length) items.push(element("li", "No documents yet.", { class: "quiet" }));
  if (next_cursor) items.push(element("li", "… and more: the first 200 are shown.", { class: "quiet" }));
  $("ul", holdings).replaceChildren(...items);
}
/** A button that deletes what is at an address, once it is confirmed. */
function deleting(label, question, address) {
  const button = element("button", label, { type: "button" });
  button.addEventListener("click", () => remove(question, address));
  return button;
}
async function remove(question, address) {
  if (!confirm(question)) return;
  await api(address, { method: "DELETE" }).catch((error) => alert(error.message));
  await listCollections();
  await listDocuments();
}
holdings?.addEventListener("toggle", listDocuments);
$("#collection")?.addEventListener("change", listDocuments);
dropCollection?.addEventListener("click", () => {
  const collection = $("#collection").value;
  if (collection) remove(`Delete the collection “${collection}” with all its documents?`, documentsAt(collection).replace(/\/documents$/, ""));
});

// ── add documents ───────────────────────────────────────────────────────────────────────────────────────────────────
const upload = $("#upload-form");
if (upload) {
  const drop = $(".drop", upload);
  const files = $("#files", upload);
  for (const name of ["dragenter", "dragover"]) {
    drop.addEventListener(name, (dragged) => {
      dragged.preventDefault();
      drop.classList.add("over");
    });
  }
  for (const name of ["dragleave", "drop"]) drop.addEventListener(name, () => drop.classList.remove("over"));
  drop.addEventListener("drop", async (given) => {
    given.preventDefault();
    add(await dropped(given.dataTransfer));
  });
  files.addEventListener("change", async () => {
    await add(picked(files));
    files.value = "";
  });
  upload.addEventListener("submit", (submitted) => submitted.preventDefault());
}

async function add(files) {
  const collection = $("#into");
  if (!files.length || !collection.reportValidity()) return;
  const [box, bar] = [$("#upload"), $("#upload progress")];
  const [line, problems] = [$("#upload p"), $("#upload .problems")];
  box.hidden = false;
  bar.removeAttribute("value");
  problems.replaceChildren();
  line.textContent = `Sending ${files.length} file${files.length > 1 ? "s" : ""}…`;
  try {
    await ensureCollection(collection.value);
    const refused = ({ path }, error) => problems.append(element("li", `${path}: ${error.message}`));
    const jobs = [];
    for (const batch of batches(files)) {
      const accepted = await send(documentsAt(collection.value), batch, { refused });
      jobs.push(...accepted.map(({ job_id }) => job_id));
    }
    const sum = { done: 0, failed: 0, removed: 0, skipped: 0 };
    let cancelled = false;
    for (const id of jobs) {
      const job = await finished(id, (current) => {
        if (current.state === "queued") {
          line.textContent = "Waiting: other documents are being read.";
          return;
        }
        const more = jobs.length > 1 ? ` (upload ${jobs.indexOf(id) + 1} of ${jobs.length})` : "";
        bar.max = current.progress.total || 1;
        bar.value = current.progress.done;
        line.textContent = `Reading: ${current.progress.done} of ${current.progress.total}${more}`;
      });
      for (const error of job.errors) problems.append(element("li", `${error.document}: ${error.message}`));
      sum.done += job.progress.done;
      for (const name of ["failed", "removed", "skipped"]) sum[name] += job[name];
      cancelled ||= job.state === "cancelled";
    }
    bar.value = jobs.length ? bar.max : 0;
    const notes = [sum.skipped && `${sum.skipped} unchanged`, sum.removed && `${sum.removed} deleted meanwhile`].filter(Boolean);
    const read = sum.done - sum.failed - sum.removed;
    const what = `${read} of ${files.length} document${files.length > 1 ? "s" : ""} in “${collection.value}”`;
    line.textContent = `${[`${cancelled ? "Cancelled" : "Ready"}: ${what}`, ...notes].join(", ")}.`;
    await Promise.all([listCollections(collection.value).then(listDocuments), refresh()]);
  } catch (error) {
    bar.value = 0;
    line.textContent = "";
    problems.append(element("li", error.message));
  }
}

async function ensureCollection(name) {
  const known = await listCollections();
  if (known.includes(name)) return;
  await post("/api/v1/rag/collections", { name }).catch((error) => {
    if (error.status !== 409) throw error; // it is beyond the first page of the list, or somebody was faster
  });
}

/** Fills the choice of collections, and gives their names. */
async function listCollections(chosen = $("#collection").value) {
  const { results } = await (await api("/api/v1/rag/collections?limit=200")).json();
  const options = results.map(({ name, documents }) => {
    const option = element("option", `${name} (${documents.ready ?? 0})`, { value: name });
    option.selected = name === chosen;
    return option;
  });
  $("#collection").replaceChildren(...options);
  return results.map(({ name }) => name);
}

// ── keys ────────────────────────────────────────────────────────────────────────────────────────────────────────────
const keys = $("#key-list");
async function listKeys() {
  const { results } = await (await api("/api/v1/keys?limit=200")).json();
  const items = results.map((key) => {
    const item = element("li");
    item.append(element("b", key.name, key.revoked_at ? { class: "ended" } : {}), element("span", key.role), element("code", key.hint));
    if (!key.revoked_at) {
      const button = element("button", "Revoke", { type: "button" });
      button.addEventListener("click", async () => {
        if (!confirm(`Revoke the key “${key.name}”? What uses it stops working.`)) return;
        await api(`/api/v1/keys/${encodeURIComponent(key.id)}`, { method: "DELETE" }).catch((error) => alert(error.message));
        await listKeys();
      });
      item.append(button);
    }
    return item;
  });
  keys.replaceChildren(...items);
}
if (keys) {
  listKeys();
  $("#key-form").addEventListener("submit", async (submitted) => {
    submitted.preventDefault();
    try {
      const made = await (await post("/api/v1/keys", { name: $("#key-name").value, role: $("#key-role").value })).json();
      $("#new-key").hidden = false;
      $("#new-key code").textContent = made.key;
      submitted.target.reset();
      await listKeys();
    } catch (error) {
      alert(error.message);
    }
  });
}
