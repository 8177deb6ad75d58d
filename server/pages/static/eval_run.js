// A run that goes on: its progress follows, and the page is shown anew once it has ended.

import { $, api } from "./platform.js";
import { words } from "./charts.js";

const EVERY_MS = 1500;
const ENDED = ["succeeded", "failed", "cancelled"];
const { run } = $("[data-run]").dataset;

async function look() {
  const told = await (await api(`/api/v1/evals/runs/${encodeURIComponent(run)}`)).json();
  if (ENDED.includes(told.state)) {
    location.reload();
    return;
  }
  $("progress").value = told.progress.done;
  $("#state").textContent = told.state;
  const unpriced = told.unpriced ? `, and ${told.unpriced} answers without a known price` : "";
  const spent = `${words(Number(told.spent_usd), "usd")} spent${unpriced}`;
  $("#progress").textContent = `${told.progress.done} of ${told.progress.total} examples, ${told.failed} failed, ${spent}`;
  setTimeout(again, EVERY_MS);
}

/** Goes on where the server was away for a moment. */
const again = () => look().catch(() => setTimeout(again, 3 * EVERY_MS));
setTimeout(again, EVERY_MS);
