// The frame over the photo: the part that is searched with, in fractions of the photo.

const LEAST = 0.05;
const STEP = 0.02;
const START = [0.15, 0.15, 0.7, 0.7];

const $ = (id) => document.getElementById(id);
const crop = $("crop");
const clamp = (value, low, high) => Math.min(Math.max(value, low), high);
const rounded = (box) => box.map((value) => Math.round(value * 1e4) / 1e4);

// Keeps a frame within the photo: `moved` keeps its size, a resized one keeps the corner that is not dragged.
export function moved([, , w, h], x, y) {
  return [clamp(x, 0, 1 - w), clamp(y, 0, 1 - h), w, h];
}

export function resized([x, y, w, h], edge, dx, dy) {
  let [left, top, right, bottom] = [x, y, x + w, y + h];
  if (edge.includes("w")) left = clamp(left + dx, 0, right - LEAST);
  if (edge.includes("e")) right = clamp(right + dx, left + LEAST, 1);
  if (edge.includes("n")) top = clamp(top + dy, 0, bottom - LEAST);
  if (edge.includes("s")) bottom = clamp(bottom + dy, top + LEAST, 1);
  return [left, top, right - left, bottom - top];
}

// `changed` is called with a new frame once the hand is off it, or the keys have rested.
export function listen(changed) {
  let box = START;
  let waiting = null;
  let held = false;

  function show(next) {
    box = rounded(next);
    ["--x", "--y", "--w", "--h"].forEach((name, index) => crop.style.setProperty(name, box[index]));
    const [x, y, w, h] = box.map((value) => Math.round(value * 100));
    crop.setAttribute("aria-label", `Selected part: ${x} % from the left, ${y} % from the top, ${w} % wide, ${h} % high`);
  }

  crop.addEventListener("pointerdown", (event) => {
    if (event.button) return;
    event.preventDefault();
    crop.focus({ preventScroll: true });
    rest();
    held = true;
    const { width, height } = $("stage").getBoundingClientRect();
    const [from, startX, startY, edge] = [box, event.clientX, event.clientY, event.target.dataset.edge];
    crop.setPointerCapture(event.pointerId);
    const move = (to) => {
      const [dx, dy] = [(to.clientX - startX) / width, (to.clientY - startY) / height];
      show(edge ? resized(from, edge, dx, dy) : moved(from, from[0] + dx, from[1] + dy));
    };
    const end = () => {
      held = false;
      crop.removeEventListener("pointermove", move);
      crop.removeEventListener("pointerup", end);
      crop.removeEventListener("pointercancel", end);
      if (String(box) !== String(from)) changed(box);
    };
    crop.addEventListener("pointermove", move);
    crop.addEventListener("pointerup", end);
    crop.addEventListener("pointercancel", end);
  });

  crop.addEventListener("keydown", (event) => {
    const ways = { ArrowLeft: [-STEP, 0], ArrowRight: [STEP, 0], ArrowUp: [0, -STEP], ArrowDown: [0, STEP] };
    const way = ways[event.key];
    if (!way || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    show(event.shiftKey ? resized(box, "se", ...way) : moved(box, box[0] + way[0], box[1] + way[1]));
    rest();
    waiting = setTimeout(() => {
      waiting = null;
      changed(box);
    }, 400);
  });

  // Forgets what keys have done and not yet asked for.
  function rest() {
    clearTimeout(waiting);
    waiting = null;
  }

  return {
    // Shows a frame, one to start from where none is given, and returns it; null hides it. An answer that comes while
    // the frame is in somebody's hands changes nothing.
    frame(next = START) {
      if (next !== null && (held || waiting !== null)) return box;
      rest();
      crop.hidden = $("crop-help").hidden = next === null;
      if (next !== null) show(next);
      return box;
    },
    rest,
  };
}
