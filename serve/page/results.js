// The answer to a search on the page: items, or what went wrong.

import { card } from "./cards.js";
import { $, button, element } from "./elements.js";
import * as filters from "./filters.js";

const WHOLE = new Intl.NumberFormat("en");

// What the items are where photos cannot be compared, by the answer's `rung`.
const FALLBACKS = {
  text: "Search by photo does not work at the moment. These items are chosen by words and filters, not by how they look.",
  trending: "Search by photo does not work at the moment. These are popular items, not chosen by how they look.",
};

const milliseconds = (value) => `${value < 10 ? value.toFixed(1) : Math.round(value)} ms`;
export const sentence = (text) => text && text.charAt(0).toUpperCase() + text.slice(1) + (/[.!?]$/.test(text) ? "" : ".");

export function empty() {
  for (const id of ["error", "summary", "nothing", "start", "more", "fallback"]) $(id).hidden = true;
  $("more-error").textContent = $("status").textContent = "";
  $("grid").replaceChildren();
}

// `choose` is called with the item whose card is clicked; `elapsed` is in milliseconds.
export function show(answer, choose, elapsed) {
  empty();
  const nothing = answer.results.length === 0 && filters.active() > 0;
  $("nothing").hidden = !nothing;
  $("summary").hidden = nothing;
  $("fallback").textContent = FALLBACKS[answer.rung] ?? "";
  $("fallback").hidden = !(answer.rung in FALLBACKS);
  showTimes(elapsed, answer.timings_ms ?? {});
  append(answer, choose);
}

function append({ results, rung }, choose) {
  $("grid").append(...results.map((result) => card(result, choose)));
  $("more").hidden = results.length < filters.count();
  $("more-error").textContent = "";
  const [count, noun] = [$("grid").children.length, rung in FALLBACKS ? "item" : "similar item"];
  const text = count === 0 ? "No items found" : `${WHOLE.format(count)} ${noun}${count === 1 ? "" : "s"}`;
  $("count").textContent = $("status").textContent = text;
}

// Appends further results and moves the focus to the first of them.
export function appendMore(answer, choose) {
  const shown = $("grid").children.length;
  append(answer, choose);
  $("grid").children[shown]?.querySelector("button").focus({ preventScroll: true });
}

export function showMoreError({ detail, status }) {
  $("more-error").textContent = $("status").textContent = sentence(detail);
  $("more").hidden = status >= 400 && status < 500;
}

function showTimes(elapsed, timings) {
  const stages = Object.entries(timings).filter(([stage]) => stage !== "total");
  $("time").textContent = `Answered in ${milliseconds(elapsed)}`;
  $("stages").textContent = `In the service: ${stages.map(([stage, value]) => `${stage} ${milliseconds(value)}`).join(", ")}`;
}

export function showProblem({ title, detail, status, requestId }, retry) {
  empty();
  $("error").replaceChildren(element("strong", {}, title), element("p", {}, sentence(detail)));
  if (status === 0 || status >= 500) $("error").append(button("Try again", retry, "primary"));
  if (requestId) $("error").append(element("small", { className: "soft" }, `Request ${requestId}`));
  $("error").hidden = false;
}
