// Thumbs under an answer: what a reader thinks of it, and why if they like to say so.

import { element, post } from "./platform.js";

const THUMBS = { up: "This answer is useful", down: "This answer is not useful" };
const SVG = "http://www.w3.org/2000/svg";
const THUMB = "M7 10v10H4V10h3zm0 1 4-8c1.5 0 2.4 1 2.1 2.5L12.5 9H18a2 2 0 0 1 2 2.3l-1.2 7a2 2 0 0 1-2 1.7H7";

/** A group of two buttons for the answer of a request; with `comments` a line to say why comes after a click. */
export function thumbs(requestId, { comments }) {
  const group = element("div", undefined, { class: "thumbs", role: "group", "aria-label": "Your opinion of this answer" });
  const told = element("span", "", { class: "quiet", role: "status" });
  const buttons = Object.entries(THUMBS).map(([rating, label]) => {
    const button = element("button", undefined, { type: "button", "aria-pressed": "false", "aria-label": label, title: label });
    button.addEventListener("click", () => give({ rating }));
    button.dataset.rating = rating;
    button.append(thumb());
    return button;
  });
  let given;
  let form;

  async function give(more) {
    const next = { ...given, ...more };
    for (const button of buttons) button.disabled = true;
    try {
      await post("/api/v1/feedback", { request_id: requestId, ...next });
      given = next;
      for (const button of buttons) button.setAttribute("aria-pressed", String(button.dataset.rating === given.rating));
      told.textContent = more.comment ? "Thank you, your words are kept." : "Thank you.";
      if (more.comment) form.hidden = true;
      else if (comments && !form) group.append((form = reason((comment) => give({ comment }))));
    } catch (error) {
      told.textContent = error.message;
    } finally {
      for (const button of buttons) button.disabled = false;
    }
  }

  group.append(...buttons, told);
  return group;
}

/** Drawn: not every machine has letters for it. The style sheet turns the one that points down. */
function thumb() {
  const drawing = document.createElementNS(SVG, "svg");
  drawing.setAttribute("viewBox", "0 0 24 24");
  drawing.setAttribute("aria-hidden", "true");
  drawing.append(document.createElementNS(SVG, "path"));
  drawing.firstChild.setAttribute("d", THUMB);
  return drawing;
}

function reason(send) {
  const form = element("form", undefined, { class: "row" });
  const words = element("input", undefined, { "aria-label": "Why, in your words", placeholder: "Why? (if you like)", maxlength: "4000" });
  form.append(words, element("button", "Send", { type: "submit" }));
  form.addEventListener("submit", (submitted) => {
    submitted.preventDefault();
    if (words.value.trim()) send(words.value.trim());
  });
  return form;
}
