// The frame over the photo: the part of the photo to search with, as [x, y, width, height] in fractions of the photo.

import { $ } from "./elements.js";

const LEAST = 0.05;
const STEP = 0.02;
const START = [0.15, 0.15, 0.7, 0.7];
const KEYS = { ArrowLeft: [-STEP, 0], ArrowRight: [STEP, 0], ArrowUp: [0, -STEP], ArrowDown: [0, STEP] };
const KEY_PAUSE_MS = 400;

const crop = $("crop");
const clamp = (value, low, high) => Math.min(Math.max(value, low), high);
const rounded = (box) => box.map((value) => Math.round(value * 1e4) / 1e4);

let box = START;
let changed = () => {};
let dragging = false;
let keyTimer = null;

function moved([x, y, width, height], dx, dy) {
  return [clamp(x + dx, 0, 1 - width), clamp(y + dy, 0, 1 - height), width, height];
}

// Moves the corner `edge` ("nw", "se", ...); the opposite corner stays.
function resized([x, y, width, height], edge, dx, dy) {
  let [left, top, right, bottom] = [x, y, x + width, y + height];
  if (edge.includes("w")) left = clamp(left + dx, 0, right - LEAST);
  if (edge.includes("e")) right = clamp(right + dx, left + LEAST, 1);
  if (edge.includes("n")) top = clamp(top + dy, 0, bottom - LEAST);
  if (edge.includes("s")) bottom = clamp(bottom + dy, top + LEAST, 1);
  return [left, top, right - left, bottom - top];
}

function draw(next) {
  box = rounded(next);
  ["--x", "--y", "--w", "--h"].forEach((name, index) => crop.style.setProperty(name, box[index]));
  const [x, y, width, height] = box.map((value) => Math.round(value * 100));
  const label = `Selected part: ${x} % from the left, ${y} % from the top, ${width} % wide, ${height} % high`;
  crop.setAttribute("aria-label", label);
}

function startDrag(event) {
  if (event.button) return;
  event.preventDefault();
  crop.focus({ preventScroll: true });
  forgetKeys();
  dragging = true;
  const { width, height } = $("stage").getBoundingClientRect();
  const [from, startX, startY, edge] = [box, event.clientX, event.clientY, event.target.dataset.edge];
  const listeners = new AbortController();
  const on = (name, listener) => crop.addEventListener(name, listener, { signal: listeners.signal });
  const end = () => {
    dragging = false;
    listeners.abort();
    if (String(box) !== String(from)) changed(box);
  };
  crop.setPointerCapture(event.pointerId);
  on("pointermove", (to) => {
    const [dx, dy] = [(to.clientX - startX) / width, (to.clientY - startY) / height];
    draw(edge ? resized(from, edge, dx, dy) : moved(from, dx, dy));
  });
  on("pointerup", end);
  on("pointercancel", end);
}

function pressKey(event) {
  const step = KEYS[event.key];
  if (!step || event.ctrlKey || event.metaKey || event.altKey) return;
  event.preventDefault();
  draw(event.shiftKey ? resized(box, "se", ...step) : moved(box, ...step));
  forgetKeys();
  keyTimer = setTimeout(() => {
    keyTimer = null;
    changed(box);
  }, KEY_PAUSE_MS);
}

// Drops a change by keys that `changed` was not called for yet.
export function forgetKeys() {
  clearTimeout(keyTimer);
  keyTimer = null;
}

// Shows the frame at `next`, by default where it was, and returns its box; null hides it. While the user changes the frame, an answer of the
// service does not move it.
export function showFrame(next = crop.hidden ? START : box) {
  if (next !== null && (dragging || keyTimer !== null)) return box;
  forgetKeys();
  crop.hidden = $("crop-help").hidden = next === null;
  if (next !== null) draw(next);
  return box;
}

// `onChange` is called with the new box when the user releases the frame, or has stopped pressing keys.
export function listen(onChange) {
  changed = onChange;
  crop.addEventListener("pointerdown", startDrag);
  crop.addEventListener("keydown", pressKey);
}
