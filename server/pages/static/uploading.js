// Files on their way to a collection: from where they are picked or dropped, in uploads of a fit size, each refusal told by file.

import { failure } from "./platform.js";

/** The files of an input, each with its path: below the folder's name where a folder was picked. */
export const picked = (input) => [...input.files].map((file) => ({ file, path: file.webkitRelativePath || file.name }));

/** What was dropped, folders with all that is in them. */
export async function dropped(transfer) {
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean); // gone after the first await
  if (!entries.length) return [...transfer.files].map((file) => ({ file, path: file.name }));
  const found = [];
  for (const entry of entries) await gather(entry, found);
  return found;
}

async function gather(entry, found) {
  if (entry.isFile) {
    const file = await new Promise((done, fail) => entry.file(done, fail));
    found.push({ file, path: entry.fullPath.replace(/^\//, "") });
    return;
  }
  const reader = entry.createReader();
  for (;;) {
    const some = await new Promise((done, fail) => reader.readEntries(done, fail)); // a hundred at a time
    if (!some.length) return;
    for (const one of some) await gather(one, found);
  }
}

/** Uploads of at most `most` files and, unless one file is larger, 16 MiB. No name comes twice in one. */
export function* batches(files, most = 50) {
  let [batch, size, names] = [[], 0, new Set()];
  for (const one of files) {
    if (batch.length === most || names.has(one.path) || (batch.length && size + one.file.size > 2 ** 24)) {
      yield batch;
      [batch, size, names] = [[], 0, new Set()];
    }
    batch.push(one);
    names.add(one.path);
    size += one.file.size;
  }
  if (batch.length) yield batch;
}

/** Sends a form; `sent` is told how many bytes have gone out. `fetch` cannot tell that. */
function upload(address, form, sent) {
  return new Promise((done, fail) => {
    const request = new XMLHttpRequest();
    request.open("POST", address);
    request.responseType = "json";
    request.upload.addEventListener("progress", ({ loaded }) => sent(loaded));
    request.addEventListener("load", () => {
      if (request.status < 300) done(request.response);
      else fail(failure(request.status, request.response));
    });
    request.addEventListener("error", () => fail(new Error("The connection broke off.")));
    request.send(form);
  });
}

/** Sends the files, and gives what was accepted: `{job_id, documents}` of each request. Where files are refused for what they
 * are, each half is sent by itself; `refused` is told of a file that is refused alone, with the error. */
export async function send(address, files, { sent = () => {}, refused }) {
  const form = new FormData();
  for (const { file, path } of files) form.append("files", file, path);
  try {
    return [await upload(address, form, sent)];
  } catch (error) {
    const large = error.status === undefined && files.length === 1 && files[0].file.size > 2 ** 24; // hung up on in the middle
    if (!large && ![400, 413, 415, 422].includes(error.status)) throw error;
    if (files.length === 1) {
      refused(files[0], error);
      return [];
    }
    const middle = Math.ceil(files.length / 2);
    const first = await send(address, files.slice(0, middle), { refused });
    return [...first, ...(await send(address, files.slice(middle), { refused }))];
  }
}
