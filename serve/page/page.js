// The search page: a photo or an item is the query, a grid of items is the answer.

import { loadBundle, search } from "./api.js";
import { card } from "./cards.js";
import { $ } from "./elements.js";
import * as filters from "./filters.js";
import { forgetKeys } from "./part.js";
import { hidePhoto, listen as listenToQuery, showPart, showQuery, showTrail } from "./query.js";
import * as results from "./results.js";

const WHOLE = new Intl.NumberFormat("en");

// The queries so far. The browser's history holds positions in this list, so that its Back button works.
const queries = [];
let position = -1;
let bundle = null;
let running = null; // The request in flight: its AbortController and the element that is marked as busy.

const query = () => queries[position];

// ---- searching ----

function stopRequest() {
  running?.controller.abort();
  running?.place.setAttribute("aria-busy", "false");
  running = null;
}

// Sends a request in place of the one in flight. The answer to a replaced request is dropped.
async function replaceRequest(place, send, showAnswer, showError) {
  stopRequest();
  const own = { controller: new AbortController(), place };
  running = own;
  place.setAttribute("aria-busy", "true");
  let answer, error;
  try {
    answer = await send(own.controller.signal);
  } catch (caught) {
    error = caught;
  }
  if (running !== own) return;
  stopRequest();
  if (error) showError(error);
  else showAnswer(answer);
}

function run() {
  stopRequest();
  showQuery(query());
  showTrail(queries, position);
  if (!query()) return showStart();
  const problem = filters.problem() ?? photoProblem(query());
  if (problem) return results.showProblem(problem);
  $("start").hidden = true;
  $("status").textContent = "Searching…";
  const [current, started] = [query(), performance.now()];
  const send = (signal) => search(current, filters.parameters(), signal);
  return replaceRequest($("results"), send, (answer) => showAnswer(answer, performance.now() - started), showProblem);
}

function photoProblem({ file }) {
  const [size, most] = [file?.size ?? 0, bundle?.limits.max_upload_bytes ?? Infinity];
  if (size <= most) return null;
  const [has, limit] = [size, most].map((bytes) => (bytes / 2 ** 20).toFixed(1));
  return { title: "The photo is too large", detail: `It has ${has} MiB; the limit is ${limit} MiB.` };
}

function showAnswer(answer, elapsed) {
  query().found = answer.box;
  showPart(query());
  results.show(answer, chooseItem, elapsed);
}

function showProblem(error) {
  if (/(corrupt|unsupported)-image$/.test(error.type)) hidePhoto(); // The browser may show a part of it.
  results.showProblem(error, run);
}

function searchMore() {
  const [current, shown] = [query(), $("grid").children.length];
  const send = (signal) => search(current, filters.parameters(), signal, shown);
  replaceRequest($("more"), send, (answer) => results.appendMore(answer, chooseItem), results.showMoreError);
}

// ---- the next query ----

function go(next) {
  forgetKeys();
  position += 1;
  for (const { file, picture } of queries.splice(position, Infinity, next)) if (file) URL.revokeObjectURL(picture);
  history.pushState({ position }, "");
  run();
}

function goBack({ state }) {
  forgetKeys();
  position = state?.position ?? -1;
  run();
}

function chooseItem(item) {
  go({ item, picture: item.picture });
  scrollTo({ top: 0 });
  $("results").focus({ preventScroll: true });
}

function choosePhoto(file) {
  if (file) go({ file, picture: URL.createObjectURL(file), box: null });
}

function chooseBox(box) {
  query().box = box;
  run();
}

// ---- the start page ----

function showStart() {
  results.empty();
  $("start").hidden = false;
}

async function showBundle() {
  $("reload").hidden = true;
  $("start-note").textContent = "Loading the catalogue…";
  try {
    bundle = await loadBundle();
  } catch ({ detail }) {
    $("start-note").textContent = `The catalogue cannot be shown. ${results.sentence(detail)} You can still search with a photo.`;
    $("reload").hidden = false;
    return;
  }
  filters.showBundle(bundle);
  showServed(bundle);
  showExamples(bundle);
}

function showServed({ catalogue, items, images, encoder_id: encoder, bundle_id: id }) {
  $("served").textContent = `${catalogue.name ?? "Catalogue"} · ${WHOLE.format(items)} items`;
  $("served").title = `${WHOLE.format(images)} images\nEncoder ${encoder}\nBundle ${id}`;
}

function showExamples({ examples, items }) {
  const none = items === 0 ? "The catalogue is empty: a search finds nothing yet." : "";
  $("start-note").textContent = examples.length > 0 ? "Or start from an item of the catalogue" : none;
  $("examples").replaceChildren(...examples.map((item) => card(item, chooseItem)));
}

// ---- events ----

function listenToFiles() {
  for (const input of [$("file"), $("camera")]) {
    input.addEventListener("change", () => {
      choosePhoto(input.files[0]);
      input.value = ""; // The same photo can be chosen again.
    });
  }
  const dragging = (inside) => document.body.classList.toggle("dragging", inside);
  addEventListener("dragenter", () => dragging(true));
  addEventListener("dragleave", (event) => dragging(event.relatedTarget !== null));
  addEventListener("dragover", (event) => event.preventDefault());
  addEventListener("drop", (event) => {
    event.preventDefault();
    dragging(false);
    choosePhoto(event.dataTransfer.files[0]);
  });
  addEventListener("paste", (event) => choosePhoto(event.clipboardData?.files[0]));
}

listenToFiles();
listenToQuery(chooseBox);
filters.listen(() => query() && run());
$("nothing-clear").addEventListener("click", filters.clear);
$("more").addEventListener("click", searchMore);
$("reload").addEventListener("click", showBundle);
addEventListener("popstate", goBack);
history.replaceState(null, "");
$("filters-box").open = !matchMedia("(max-width: 760px)").matches;
showBundle();
