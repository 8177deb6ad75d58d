// For LangServe's playground pages: shows what the server refuses before an answer begins and which file is picked, gives the
// chat page its schemas, hides what does not exist here, and leads back to the front page.
(() => {
  const note = document.createElement("div");
  note.setAttribute("role", "alert");
  note.className = "genai-note";
  note.hidden = true;
  const home = document.createElement("a");
  home.href = "/";
  home.className = "genai-home";
  // a phone's first line has room for the page's title and little more
  home.textContent = matchMedia("(max-width: 40rem)").matches ? "← All" : "← All capabilities";
  home.setAttribute("aria-label", "All capabilities");
  document.body.append(note, home);

  /** The page's own field shows nothing of a file that the form came with: say so, and show the picture. */
  function showPicked(input) {
    const label = input.parentElement.querySelector("label")?.textContent.replace("*", "").trim().toLowerCase();
    const fields = Object.values(window.INPUT_SCHEMA?.properties ?? {});
    const sample = fields.find((field) => (field.title ?? "").toLowerCase() === label)?.default;
    const box = document.createElement("div");
    box.className = "genai-picked";
    const show = (address, text) => {
      const picture = document.createElement("img");
      picture.src = address;
      picture.alt = "";
      picture.onerror = () => picture.remove(); // no picture, or a kind that the browser does not know
      box.replaceChildren(picture, text);
    };
    if (sample) show(`data:;base64,${sample}`, "A sample is filled in: choose a file of your own instead.");
    input.addEventListener("change", () => {
      const [file] = input.files;
      if (file?.type.startsWith("image/")) show(URL.createObjectURL(file), "");
      else if (file) box.replaceChildren();
    });
    input.after(box);
  }
  const seen = new WeakSet();

  // links that carry a configuration do not exist here, and the page is the capability's own, not the library's
  const title = document.title.split(" · ")[0];
  new MutationObserver(() => {
    const name = document.querySelector("h1 strong");
    if (name && name.textContent !== title) name.textContent = title;
    for (const button of document.querySelectorAll("button")) {
      if (button.textContent.trim() === "Share") button.style.visibility = "hidden";
    }
    for (const input of document.querySelectorAll("input[type=file]")) {
      if (!seen.has(input)) showPicked(input);
      seen.add(input);
    }
  }).observe(document.body, { childList: true, subtree: true });

  const send = window.fetch;
  window.fetch = async (input, options) => {
    const path = String(input.url ?? input);
    // the chat page asks for its schemas under a configuration, which there is none of: they are in the page already
    const schema = path.match(/\/c\/[^/]+\/(input|output)_schema$/);
    if (schema) {
      return Response.json(schema[1] === "input" ? window.INPUT_SCHEMA : window.OUTPUT_SCHEMA);
    }
    const response = await send(input, options);
    if (path.includes("/stream_log")) {
      note.hidden = response.ok;
      if (!response.ok) {
        let text = `The server answered ${response.status}.`;
        try {
          text = (await response.clone().json()).error.message;
        } catch {
          // not our error shape: the status must do
        }
        note.textContent = response.status === 401 ? "You are signed out: sign in on the front page, then try again." : text;
      }
    }
    return response;
  };
})();
