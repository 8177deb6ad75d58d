// The administrators' pages work without a script; this makes them quicker to use.

const $ = (selector, root = document) => root.querySelector(selector);
const $$ = (selector, root = document) => [...root.querySelectorAll(selector)];

// What was done is said once: a reloaded page says it no more, and sends no form again.
const here = new URL(location.href);
here.searchParams.delete("done");
history.replaceState(null, "", here);

// On a phone the menu is a strip that may begin left of where we are.
$(".side [aria-current]")?.scrollIntoView({ inline: "center", block: "nearest" });

// A screen reader, and whoever has scrolled, is taken to what matters.
($("[aria-invalid=true]") ?? $("#problem") ?? $("#once-title"))?.focus();

for (const button of $$("[data-copy]")) {
  button.addEventListener("click", async () => {
    const text = document.getElementById(button.dataset.copy);
    const told = $("[data-copied]", button.closest("section"));
    try {
      await navigator.clipboard.writeText(text.textContent);
      button.textContent = told.textContent = "Copied";
    } catch {
      getSelection().selectAllChildren(text); // no clipboard over plain HTTP: select, so that one key press copies
      told.textContent = "Selected: copy it with the keyboard.";
    }
  });
}

// One question at a time; Escape takes it back.
for (const details of $$("details.confirm")) {
  details.addEventListener("toggle", () => {
    if (details.open) for (const other of $$("details.confirm[open]")) if (other !== details) other.open = false;
  });
  details.addEventListener("keydown", (pressed) => {
    if (pressed.key !== "Escape" || !details.open) return;
    details.open = false;
    $("summary", details).focus();
  });
}
