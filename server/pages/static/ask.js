// The ask page: questions, their answers as they come, and the places that these are from.

import { thumbs } from "./feedback.js";
import { $, element, events, pageAt, post, withCode } from "./platform.js";
import { CLOSEST, pageNoun, showPlace } from "./place.js";

const thread = $("#thread");
const form = $("#question-form");
const [question, collection] = [$("#question"), $("#collection")];
const [sendButton, stopButton] = [$("#send"), $("#stop")];
const { session, judges } = thread?.dataset ?? {};
let asking;

function turn(role, title) {
  const item = element("li", undefined, { class: `turn ${role}` });
  item.append(element("h2", title, { class: "sr" }));
  thread.append(item);
  return item;
}

function opensHere(link, name, citation, item) {
  link.addEventListener("click", (clicked) => {
    if (clicked.ctrlKey || clicked.metaKey || clicked.shiftKey) return; // to a tab of its own
    clicked.preventDefault();
    showPlace($("#place"), name, citation).catch((error) => tell(error.message, item));
  });
}

/** Places in documents: each a link to its page, which a plain click opens here. */
function sources(citations, name, label = "Sources") {
  const list = element("ol", undefined, { class: "citations", "aria-label": label });
  for (const citation of citations) {
    const item = element("li");
    const link = element("a", citation.document, { href: pageAt(name, citation) });
    opensHere(link, name, citation, item);
    const source = element("cite");
    source.append(link, citation.page ? `, ${pageNoun(citation.document)} ${citation.page}` : "");
    item.append(element("blockquote", citation.quote), source);
    list.append(item);
  }
  return list;
}

function tell(text, item) {
  $(".problem", item)?.remove();
  item.append(element("p", text, { class: "problem", role: "alert" }));
}

async function ask(text) {
  const name = collection.value;
  turn("user", "You asked").append(element("p", text, { class: "said" }));
  const item = turn("assistant", "Answer");
  const said = element("div", "Looking it up…", { class: "said waiting" });
  item.append(said);
  item.scrollIntoView({ block: "nearest" });
  asking = new AbortController();
  let begun = false;
  let last;
  try {
    const body = { question: text, collection: name, stream: true, ...(session && { session_id: session }) };
    for await (const { event, data } of events(await post("/api/v1/rag", body, { signal: asking.signal }))) {
      if (event === "token") {
        if (!begun) said.replaceChildren();
        begun = true;
        said.classList.remove("waiting");
        said.append(data.text);
      } else if (event === "done") last = data;
      else if (event === "error") throw Object.assign(new Error(data.error?.message ?? "The answer broke off."), data.error);
    }
    if (!last) throw new Error("The answer broke off.");
    show(item, said, last, name);
    remember();
  } catch (error) {
    if (!begun) said.remove();
    said.classList.remove("waiting");
    if (error.name === "AbortError") {
      item.append(element("p", "Stopped. What there is of the answer is not kept.", { class: "meta quiet" }));
      $("#told").textContent = "Stopped.";
    } else tell(error.message, item);
  } finally {
    asking = undefined;
  }
}

function show(item, said, { output, citations, answered, nearest = [], warnings = [], degraded, indexing, model, provider, usage, request_id }, name) {
  said.replaceChildren(...withCode(output));
  said.classList.remove("waiting");
  const verdict = answered ? "Answer" : warnings.length ? "Nothing in the documents proves this" : "Not in the documents";
  if (!answered) {
    item.classList.add("missing");
    said.before(element("p", verdict, { class: "verdict" }));
  }
  for (const warning of warnings) item.append(element("p", warning, { class: "meta quiet" }));
  if (citations.length) item.append(sources(citations, name));
  if (nearest.length) item.append(element("p", CLOSEST, { class: "closest" }), sources(nearest, name, CLOSEST));
  if (degraded) item.append(element("p", "A part of the search did not answer: more may be found later.", { class: "meta quiet" }));
  if (indexing && answered) item.append(element("p", "Documents are still being read: more may be known soon.", { class: "meta quiet" }));
  const facts = [name, model && `${provider} · ${model}`, usage?.total_tokens && `${usage.total_tokens} tokens`].filter(Boolean);
  item.append(element("p", facts.join(" · "), { class: "meta quiet" }));
  if (judges && request_id) item.append(thumbs(request_id, { comments: judges === "words" }));
  item.scrollIntoView({ block: "nearest" });
  $("#told").textContent = `${verdict}: ${output}`; // once, when it is whole
}

/** A reloaded page goes on with the conversation. */
function remember() {
  const here = new URL(location.href);
  if (session) here.searchParams.set("session", session);
  here.searchParams.set("collection", collection.value);
  history.replaceState(null, "", here);
}

function chosen() {
  $("#open-collection").href = `/documents/${encodeURIComponent(collection.value)}`;
}

for (const said of thread?.querySelectorAll(".assistant .said") ?? []) said.replaceChildren(...withCode(said.textContent));
for (const link of thread?.querySelectorAll("a[data-place]") ?? []) {
  const { collection: name, ...citation } = JSON.parse(link.dataset.place);
  opensHere(link, name, citation, link.closest("li"));
}

form?.addEventListener("submit", async (submitted) => {
  submitted.preventDefault();
  const text = question.value.trim();
  if (asking || !text) return;
  question.value = "";
  [sendButton.disabled, stopButton.hidden] = [true, false];
  await ask(text);
  const stopped = document.activeElement === stopButton;
  [sendButton.disabled, stopButton.hidden] = [false, true];
  if (stopped || document.activeElement === document.body) question.focus();
});
question?.addEventListener("keydown", (pressed) => {
  if (pressed.key === "Enter" && !pressed.shiftKey && !pressed.isComposing) {
    pressed.preventDefault();
    form.requestSubmit();
  }
});
stopButton?.addEventListener("click", () => asking?.abort());
collection?.addEventListener("change", chosen);
if (form) {
  chosen();
  $(".turn:last-child", thread)?.scrollIntoView({ block: "nearest" });
}
