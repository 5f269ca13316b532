// The page over the API: a photo or an item goes in, a grid of items comes out.

import { listen as listenToFrame } from "/static/part.js";
import { hide as hideWhy, toggle as toggleWhy } from "/static/why.js";

const $ = (id) => document.getElementById(id);
const filters = $("filters");
const PRICE = new Intl.NumberFormat("en", { minimumFractionDigits: 2, maximumFractionDigits: 2 });
const WHOLE = new Intl.NumberFormat("en");

// What was asked, in order: photos and items. The browser's history holds positions in it, so its Back button works.
const steps = [];
let position = -1;
let bundle = null;
let running = null;
let frame = null;
const PARTS = document.getElementsByName("part");

// ---- asking ----

function parameters() {
  const asked = new URLSearchParams();
  for (const [name, value] of new FormData(filters)) if (value !== "") asked.append(name, value);
  return asked;
}

function ask(step, signal, offset = 0) {
  const asked = parameters();
  if (offset) asked.append("offset", offset);
  asked.append("timings", "true");
  if (step.kind === "item") {
    return fetch(`/v1/items/${encodeURIComponent(step.item.item_id)}/similar?${asked}`, { signal });
  }
  const body = new FormData();
  body.append("image", step.file, step.file.name || "photo");
  if (step.box) asked.append("box", step.box);
  for (const [name, value] of asked) body.append(name, value);
  return fetch("/v1/search", { method: "POST", body, signal });
}

async function answer(response) {
  const type = response.headers.get("content-type") || "";
  if (response.ok && type.startsWith("application/json")) return response.json();
  if (type.startsWith("application/problem+json")) throw { problem: await response.json() };
  throw { problem: { title: "Unexpected answer", detail: `The service answered with status ${response.status}.` } };
}

async function run() {
  const step = steps[position];
  running?.abort();
  running = null;
  hideWhy();
  showQuery(step);
  showTrail();
  if (!step) return showWelcome();
  if (!filters.checkValidity()) return filters.reportValidity();
  const limit = bundle?.limits.max_upload_bytes;
  if (limit && step.kind === "photo" && step.file.size > limit) {
    const [has, most] = [step.file.size, limit].map((bytes) => (bytes / 2 ** 20).toFixed(1));
    return showProblem({ title: "Photo too large", detail: `It has ${has} MiB; at most ${most} MiB are taken.` });
  }
  const mine = new AbortController();
  running = mine;
  $("results").setAttribute("aria-busy", "true");
  $("welcome").hidden = true;
  const started = performance.now();
  try {
    const found = await answer(await ask(step, mine.signal));
    if (running === mine) showResults(step, found, performance.now() - started);
  } catch (error) {
    if (running !== mine) return; // A newer question took its place.
    const offline = { title: "No answer", detail: "The service cannot be reached. Is it still running?" };
    showProblem(error.problem || offline);
  } finally {
    if (running === mine || running === null) $("results").setAttribute("aria-busy", "false");
  }
}

function go(step) {
  frame.rest();
  position += 1;
  steps.splice(position, Infinity, step);
  history.pushState({ position }, "");
  run();
}

// ---- showing ----

function showQuery(step) {
  document.body.classList.toggle("has-query", Boolean(step));
  $("query").hidden = !step;
  $("drop-title").textContent = step ? "Choose another photo" : "Choose a photo";
  if (!step) return;
  const photo = step.kind === "photo";
  $("query-image").hidden = false;
  $("query-image").src = step.url;
  $("query-image").alt = photo ? "Your photo" : `Item ${step.item.item_id}`;
  $("query-kind").textContent = photo ? "Items that look like your photo" : "Items that look like this one";
  $("query-name").textContent = nameOf(step);
  $("part").hidden = !photo;
  showPart(step);
}

// The frame as asked for; that of the main object is known when the answer has come.
function showPart(step) {
  const own = Array.isArray(step.box);
  for (const choice of PARTS) choice.checked = choice.value === (own ? "own" : (step.box ?? "whole"));
  frame.frame(own ? step.box : step.box === "auto" ? step.found : null);
}

function showTrail() {
  const first = steps.findLastIndex((step, index) => index <= position && step.kind === "photo");
  const shown = steps.slice(Math.max(first, 0), position + 1);
  $("trail").hidden = position < 0;
  const start = Object.assign(document.createElement("button"), { type: "button", textContent: "Start" });
  start.addEventListener("click", () => history.go(-1 - position));
  const parts = [start];
  shown.forEach((step, index) => {
    const last = index === shown.length - 1;
    const part = document.createElement(last ? "span" : "button");
    part.textContent = step.kind === "photo" ? "Your photo" : nameOf(step);
    part.title = nameOf(step);
    if (last) part.setAttribute("aria-current", "page");
    else {
      part.type = "button";
      part.addEventListener("click", () => history.go(index - shown.length + 1));
    }
    parts.push(Object.assign(document.createElement("span"), { className: "sep", textContent: "›" }));
    parts.push(part);
  });
  const back = Object.assign(document.createElement("button"), { type: "button", className: "back", textContent: "← Back" });
  back.addEventListener("click", () => history.back());
  $("trail").replaceChildren(back, ...parts);
}

function showWelcome() {
  clear();
  $("welcome").hidden = false;
}

function showProblem({ type, title, detail, request_id: id }) {
  clear();
  if (/(corrupt|unsupported)-image$/.test(type)) $("query-image").hidden = true; // The browser may show half of it.
  const parts = [Object.assign(document.createElement("strong"), { textContent: title }), sentence(detail || "")];
  if (id) parts.push(Object.assign(document.createElement("small"), { textContent: `Request ${id}` }));
  $("error").replaceChildren(...parts);
  $("error").hidden = false;
}

// What answered in place of a search by the photo, where that was not possible.
const RUNGS = {
  text: "by words and category, not by the picture",
  trending: "with what is popular, not by the picture",
};

function showResults(step, { results, timings_ms: timings, box, rung }, elapsed) {
  clear();
  step.found = box ?? null;
  showPart(step);
  $("rung").hidden = !rung || rung === "search" || rung === "cache"; // Kept embeddings find the same.
  $("rung").textContent = `The search itself is not available now; answered ${RUNGS[rung] ?? `by ${rung}`}.`;
  $("more").hidden = results.length < Number(filters.k.value);
  const none = results.length === 0;
  $("nothing").hidden = !none || activeFilters() === 0;
  $("summary").hidden = none && activeFilters() > 0;
  $("count").textContent = none ? "No items found" : `${WHOLE.format(results.length)} similar item${results.length === 1 ? "" : "s"}`;
  $("status").textContent = $("count").textContent;
  const stages = Object.entries(timings ?? {}).filter(([stage]) => stage !== "total");
  $("timing").textContent = `${ms(elapsed)} · ${stages.map(([stage, value]) => `${stage} ${ms(value)}`).join(" · ")}`;
  $("grid").replaceChildren(...results.map(card));
}

// The next results, below those that are there.
async function showMore() {
  const [step, there] = [steps[position], $("grid").children.length];
  running?.abort();
  const mine = new AbortController();
  running = mine;
  $("more").disabled = true;
  try {
    const { results } = await answer(await ask(step, mine.signal, there));
    if (running !== mine) return;
    const cards = results.map(card);
    const first = cards[0]?.querySelector("button");
    $("grid").append(...cards);
    first?.focus({ preventScroll: true });
    $("more").hidden = results.length < Number(filters.k.value);
    $("count").textContent = $("status").textContent = `${WHOLE.format(there + results.length)} similar items`;
  } catch (error) {
    if (running !== mine) return;
    $("more").hidden = true; // As deep as the service goes; what is there stays.
    $("status").textContent = error.problem?.detail ?? "The service cannot be reached.";
  } finally {
    $("more").disabled = false;
  }
}

function clear() {
  for (const id of ["error", "summary", "nothing", "welcome", "more", "rung"]) $(id).hidden = true;
  $("grid").replaceChildren();
  $("status").textContent = "";
}

function card(result) {
  const node = $("card").content.cloneNode(true);
  const part = (name) => node.querySelector(`.${name}`);
  const [name, price, stock] = [title(result), money(result.price), inStock(result.in_stock)];
  const image = node.querySelector("img");
  image.addEventListener("error", () => image.classList.add("missing"));
  image.src = thumbnail(result);
  image.alt = `${name}${result.color ? `, ${result.color}` : ""}`;
  part("rank").textContent = result.rank;
  part("name").textContent = name;
  part("name").title = name;
  part("price").textContent = price;
  part("color").lastElementChild.textContent = result.color ?? "";
  const known = result.color && CSS.supports("color", result.color);
  if (known) part("dot").style.background = result.color;
  part("dot").hidden = !known;
  part("stock").textContent = stock;
  part("stock").classList.add(result.in_stock ? "yes" : "no");
  node.querySelector(".score").hidden = node.querySelector(".explain").hidden = result.score === null;
  part("bar").style.setProperty("--share", Math.max(0, result.score));
  part("number").textContent = result.score?.toFixed(3) ?? "";
  part("number").title = "Cosine similarity";
  part("id").textContent = part("id").title = result.item_id;
  const button = node.querySelector("button");
  button.title = "Show items similar to this one";
  const likeness = result.score === null ? "" : `similarity ${result.score.toFixed(2)}`;
  const said = [name, result.color, price, stock, likeness].filter(Boolean).join(", ");
  button.setAttribute("aria-label", `${result.rank}: ${said}. Show similar items`);
  button.addEventListener("click", () => chooseItem(result));
  const why = node.querySelector(".explain");
  why.setAttribute("aria-label", `Why is ${result.rank} here? Show the parts that make it alike`);
  why.addEventListener("click", () => toggleWhy(why, result, asked, answer));
  return node;
}

// What the results on the page were asked with: the photo itself, or an item's picture.
async function asked(signal) {
  const step = steps[position];
  if (step.kind === "photo") return { photo: step.file, box: Array.isArray(step.box) ? step.box : step.found };
  return { photo: await (await fetch(step.url, { signal })).blob(), box: null };
}

function choosePart(value) {
  const step = steps[position];
  const last = step.found ?? undefined;
  if (value === "own") step.box = frame.frame(last);
  else step.box = value === "auto" ? "auto" : null;
  run();
}

function chooseItem(item) {
  go({ kind: "item", item, url: thumbnail(item) });
  scrollTo({ top: 0 });
  $("results").focus({ preventScroll: true });
}

// ---- words ----

const thumbnail = (item) => `${item.thumbnail}?v=${bundle?.bundle_id ?? ""}`;
const money = (price) => (price === null ? "" : PRICE.format(price));
const inStock = (value) => (value === null ? "" : value ? "In stock" : "Sold out");
const nameOf = (step) => (step.kind === "photo" ? step.file.name || "Pasted photo" : step.item.item_id);
const title = ({ brand, category, item_id: id }) => [brand, category].filter(Boolean).join(" · ") || id;
const ms = (value) => `${value < 10 ? value.toFixed(1) : Math.round(value)} ms`;
const sentence = (text) => `${text.charAt(0).toUpperCase()}${text.slice(1)}${/[.!?]$/.test(text) ? "" : "."}`;

// ---- filters ----

function activeFilters() {
  return [...parameters().keys()].filter((name) => name !== "k").length;
}

function filtersChanged() {
  const active = activeFilters();
  $("filters-active").hidden = active === 0;
  $("filters-active").textContent = active;
  $("clear").hidden = active === 0;
  if (steps[position]) run();
}

function addChoices(name, { values }) {
  const chips = values.map(({ value, images }) => {
    const chip = Object.assign(document.createElement("label"), { className: "chip" });
    const box = Object.assign(document.createElement("input"), { type: "checkbox", name, value });
    const text = Object.assign(document.createElement("span"), { textContent: value, title: `${WHOLE.format(images)} images` });
    chip.append(box, text);
    return chip;
  });
  $(`choice-${name}`).querySelector(".chips").replaceChildren(...chips);
  $(`choice-${name}`).hidden = values.length < 2;
}

// ---- starting ----

function choosePhoto(file) {
  if (!file) return;
  go({ kind: "photo", file, url: URL.createObjectURL(file), box: null, found: null });
}

function showBundle() {
  const { items, images, encoder_id: encoder, catalogue, bundle_id: id } = bundle;
  const more = Object.assign(document.createElement("span"), { className: "more", textContent: `, ${WHOLE.format(images)} images` });
  $("served").replaceChildren(`${catalogue.name ?? "Catalogue"} · ${WHOLE.format(items)} items`, more);
  $("served").title = `Encoder ${encoder}\nBundle ${id}`;
  for (const [name, found] of Object.entries(bundle.filters)) addChoices(name, found);
  if (bundle.price) {
    filters.price_min.placeholder = Math.floor(bundle.price[0]);
    filters.price_max.placeholder = Math.ceil(bundle.price[1]);
  }
  const examples = bundle.examples.map((item) => {
    const button = Object.assign(document.createElement("button"), { type: "button", title: title(item) });
    const image = Object.assign(document.createElement("img"), { src: thumbnail(item), alt: `Start from ${title(item)}` });
    button.append(image);
    button.addEventListener("click", () => chooseItem(item));
    const entry = document.createElement("li");
    entry.append(button);
    return entry;
  });
  $("examples").replaceChildren(...examples);
  $("examples-box").hidden = examples.length === 0;
}

function listen() {
  for (const id of ["file", "camera"]) {
    $(id).addEventListener("change", (event) => {
      choosePhoto(event.target.files[0]);
      event.target.value = ""; // So that choosing the same photo again is a change.
    });
  }
  // A format that the browser cannot show, or a damaged file: there is nothing to draw a frame on.
  $("query-image").addEventListener("error", () => {
    $("query-image").hidden = $("part").hidden = true;
    frame.frame(null);
  });
  frame = listenToFrame((box) => {
    steps[position].box = box;
    run();
  });
  for (const choice of PARTS) choice.addEventListener("change", () => choosePart(choice.value));
  $("why-close").addEventListener("click", hideWhy);
  $("more").addEventListener("click", showMore);
  let inside = 0;
  const dragging = () => document.body.classList.toggle("dragging", inside > 0);
  addEventListener("dragenter", () => { inside += 1; dragging(); });
  addEventListener("dragleave", () => { inside -= 1; dragging(); });
  addEventListener("dragover", (event) => event.preventDefault());
  addEventListener("drop", (event) => {
    event.preventDefault();
    inside = 0;
    dragging();
    choosePhoto(event.dataTransfer.files[0]);
  });
  addEventListener("paste", (event) => choosePhoto(event.clipboardData?.files[0]));
  addEventListener("popstate", (event) => {
    frame.rest();
    position = event.state?.position ?? -1;
    run();
  });
  let waiting;
  filters.addEventListener("input", (event) => {
    clearTimeout(waiting);
    waiting = setTimeout(filtersChanged, event.target.type === "number" ? 400 : 0);
  });
  filters.addEventListener("reset", () => setTimeout(filtersChanged)); // The fields are empty only afterwards.
  filters.addEventListener("submit", (event) => event.preventDefault());
  $("nothing-clear").addEventListener("click", () => filters.reset());
}

async function start() {
  listen();
  history.replaceState(null, "");
  filters.reset(); // Some browsers fill in what was there before a reload.
  $("clear").hidden = true;
  if (matchMedia("(max-width: 760px)").matches) $("filters-box").open = false;
  try {
    bundle = await answer(await fetch("/v1/bundle"));
    showBundle();
  } catch (error) {
    showProblem(error.problem || { title: "No answer", detail: "The service cannot be reached." });
  }
}

start();
