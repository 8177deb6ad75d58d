// A citation's place: the text around it in a dialog, the quoted stretch marked, with its page and headings.

import { $, api, documentsAt, element, pageAt } from "./platform.js";

/** Said above places that are shown where nothing answers. */
export const CLOSEST = "Closest in the documents, which may not answer it:";

const AROUND = 3000;
const PAGES = { slide: /presentation|\.pptx$/i, sheet: /spreadsheet|\.xls[xm]$/i };

/** What a page of a file is called, by its type or its name. */
export function pageNoun(file) {
  return Object.entries(PAGES).find(([, kind]) => kind.test(file ?? ""))?.[0] ?? "page";
}

/** Fills the dialog with the text at a citation, and opens it. */
export async function showPlace(dialog, collection, citation) {
  const { document_id, start, end } = citation;
  const address = `${documentsAt(collection)}/${encodeURIComponent(document_id)}`;
  const place = await (await api(`${address}/place?start=${start}&end=${end}&around=${AROUND}`)).json();
  const mark = element("mark", place.text, { tabindex: "-1" });
  const before = start > Array.from(place.before).length ? `… ${place.before}` : place.before;
  const after = end + Array.from(place.after).length < place.characters ? `${place.after} …` : place.after;
  $("h2", dialog).textContent = place.document;
  const page = place.page ? `${pageNoun(place.media_type)} ${place.page}` : "";
  $("[data-where]", dialog).textContent = [page, place.heading, `characters ${start}–${end}`].filter(Boolean).join(" · ");
  $("[data-changed]", dialog).hidden = citation.quote === undefined || citation.quote === place.text;
  $("pre", dialog).replaceChildren(before, mark, after);
  $("[data-page]", dialog).href = pageAt(collection, citation);
  $("[data-original]", dialog).href = `${address}/original`;
  dialog.showModal();
  mark.scrollIntoView({ block: "center" });
}
