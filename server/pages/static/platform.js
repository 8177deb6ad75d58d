// What the pages' scripts share: elements, calls of the API with the session's cookie, streams of events, jobs.

export const $ = (selector, root = document) => root.querySelector(selector);
export const $$ = (selector, root = document) => [...root.querySelectorAll(selector)];

export function element(name, text, attributes = {}) {
  const made = document.createElement(name);
  if (text !== undefined) made.textContent = text;
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

/** What stands in an answer, its fenced blocks as code; to be appended. Nothing in it is markup. */
export function withCode(text) {
  const [first, ...rest] = text.split(/^(```|~~~)[^\n]*\n([^]*?)\n\1$/m);
  const shown = [first.trimEnd()];
  for (let at = 0; at < rest.length; at += 3) {
    const code = element("pre", undefined, { tabindex: "0" }); // what scrolls can be reached by keys
    code.append(element("code", rest[at + 1]));
    shown.push(code, rest[at + 2].trim());
  }
  return shown;
}

/** The Error of an answer: it carries the platform's own message, code and status. */
export function failure(status, body) {
  const message = body?.error?.message ?? `The server answered ${status}.`;
  return Object.assign(new Error(message), { status, code: body?.error?.code });
}

/** Calls the API. Throws what `failure` makes of a refusal; whoever is signed out is led to the sign-in form. */
export async function api(path, options = {}) {
  const response = await fetch(path, options);
  if (response.status === 401) location.assign(`/signin?next=${encodeURIComponent(location.pathname + location.search)}`);
  if (!response.ok) throw failure(response.status, await response.json().catch(() => null));
  return response;
}

export const post = (path, body, options = {}) =>
  api(path, { ...options, method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });

/** Yields {event, data} of a server-sent event stream. */
export async function* events(response) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    rest = (rest + value).replaceAll("\r\n", "\n");
    const blocks = rest.split("\n\n");
    rest = blocks.pop();
    for (const block of blocks) {
      const lines = block.split("\n");
      const event = lines.find((line) => line.startsWith("event:"))?.slice(6).trim() ?? "message";
      const data = lines.filter((line) => line.startsWith("data:")).map((line) => line.slice(5).trim()).join("\n");
      if (data) yield { event, data: JSON.parse(data) };
    }
  }
}

const ENDED = ["succeeded", "failed", "cancelled"];
/** Follows a job until it ends, by its events. `step` gets it at first and each time it has moved, with the part that has ended
 * where there is one; its `errors` are all those that are known by then. Gives the job as it ended. */
export async function finished(id, step) {
  const address = `/api/v1/jobs/${encodeURIComponent(id)}`;
  let errors = [];
  const look = async (part) => {
    const job = await (await api(address)).json();
    errors = job.errors;
    step(job, part);
    return job;
  };
  let job = await look();
  while (!ENDED.includes(job.state)) {
    const told = await api(`${address}/events`);
    if (told.status !== 204) {
      for await (const { event, data } of events(told)) {
        if (event !== "progress") continue;
        const { document: part, done, total, ...rest } = data;
        if (part?.state === "failed") await look(part); // an event has no message
        else step({ ...rest, progress: { done, total }, errors }, part);
      }
    }
    job = await look(); // the stream has ended, or was cut off
  }
  return job;
}

export const collectionAt = (name) => `/api/v1/rag/collections/${encodeURIComponent(name)}`;
export const documentsAt = (name) => `${collectionAt(name)}/documents`;
/** The page that shows a document's text at a stretch of it. */
export const pageAt = (collection, { document_id, start, end }) =>
  `/documents/${encodeURIComponent(collection)}/${encodeURIComponent(document_id)}?start=${start}&end=${end}#span`;

/** A position in characters as one in UTF-16 units, which is what strings here are made of. */
function inUnits(text, characters) {
  let units = 0;
  for (const character of text) {
    if (characters-- <= 0) break;
    units += character.length;
  }
  return units;
}

/** The text as nodes, with its stretches (in characters, in order) marked. */
export function marked(text, stretches) {
  const nodes = [];
  let [position, characters] = [0, 0];
  for (const { start, end } of stretches) {
    const begin = position + inUnits(text.slice(position), start - characters);
    const stop = begin + inUnits(text.slice(begin), end - start);
    nodes.push(text.slice(position, begin), element("mark", text.slice(begin, stop)));
    [position, characters] = [stop, end];
  }
  return [...nodes, text.slice(position)];
}
