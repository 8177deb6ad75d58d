// For LangServe's playground pages: shows what the server refuses before an answer begins, gives the chat page its schemas,
// hides what does not exist here, and leads back to the front page.
(() => {
  const note = document.createElement("div");
  note.setAttribute("role", "alert");
  note.hidden = true;
  note.style.cssText =
    "position:fixed;z-index:1000;left:50%;top:1rem;transform:translateX(-50%);max-width:min(40rem,90vw);padding:.8rem 1.2rem;" +
    "border-radius:.6rem;background:#7f1d1d;color:#fff;font:15px/1.4 system-ui,sans-serif;box-shadow:0 4px 16px #0006";
  const home = document.createElement("a");
  home.href = "/";
  // a phone's first line has room for the page's title and little more
  home.textContent = matchMedia("(max-width: 40rem)").matches ? "← All" : "← All capabilities";
  home.setAttribute("aria-label", "All capabilities");
  home.style.cssText =
    "position:fixed;z-index:999;right:1rem;top:.6rem;font:14px system-ui,sans-serif;color:#2563eb;text-decoration:underline";
  document.body.append(note, home);

  // links that carry a configuration do not exist here
  new MutationObserver(() => {
    for (const button of document.querySelectorAll("button")) {
      if (button.textContent.trim() === "Share") button.style.visibility = "hidden";
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
