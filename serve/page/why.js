// Explanations: which parts of the query and of a result make the two alike, drawn over both.

const $ = (id) => document.getElementById(id);
const COLOR = [255, 106, 0];
let shown = null; // { button, canvases, abort }

// A small picture of the positive cells; the browser smooths it as it enlarges it.
function heat({ losses, cells }) {
  const most = Math.max(...losses.flat(), 1e-6);
  const canvas = Object.assign(document.createElement("canvas"), { className: "heat", width: cells, height: cells });
  canvas.setAttribute("aria-hidden", "true");
  const image = new ImageData(cells, cells);
  losses.flat().forEach((loss, index) => image.data.set([...COLOR, 235 * Math.max(0, loss / most) ** 0.8], index * 4));
  canvas.getContext("2d").putImageData(image, 0, 0);
  return canvas;
}

// Lays a map over a picture that lies at [x, y, width, height] of its holder, in fractions.
function lay(holder, [x, y, width, height], map) {
  const canvas = heat(map);
  const [left, top, wide, high] = map.area;
  const at = { left: x + left * width, top: y + top * height, width: wide * width, height: high * height };
  for (const [name, value] of Object.entries(at)) canvas.style[name] = `${value * 100}%`;
  holder.append(canvas);
  return canvas;
}

// Where `object-fit: contain` puts a picture in a square.
function contained({ naturalWidth: width, naturalHeight: height }) {
  const [w, h] = [Math.min(1, width / height), Math.min(1, height / width)];
  return [(1 - w) / 2, (1 - h) / 2, w, h];
}

// In words, for those who cannot see the colours: where the middle of the positive cells lies.
export function place({ losses, cells }) {
  let [sum, row, column] = [0, 0, 0];
  losses.forEach((line, y) => line.forEach((loss, x) => {
    const weight = Math.max(0, loss) ** 2;
    sum += weight;
    row += weight * (y + 0.5);
    column += weight * (x + 0.5);
  }));
  if (!sum) return "no part";
  const third = (value) => Math.min(2, Math.max(0, Math.floor((value / sum / cells - 0.2) / 0.2)));
  const [vertical, horizontal] = [["upper", "", "lower"][third(row)], ["left", "", "right"][third(column)]];
  return vertical || horizontal ? `the ${[vertical, horizontal].filter(Boolean).join(" ")} part` : "the middle";
}

export function hide() {
  shown?.abort.abort();
  shown?.canvases.forEach((canvas) => canvas.remove());
  shown?.button.setAttribute("aria-pressed", "false");
  shown?.button.removeAttribute("aria-busy");
  shown = null;
  $("why").hidden = true;
}

// `query` gives the photo's bytes and its box; `answer` reads a response or throws its problem.
export async function toggle(button, result, query, answer) {
  const again = shown?.button === button;
  hide();
  if (again) return;
  const mine = { button, canvases: [], abort: new AbortController() };
  shown = mine;
  button.setAttribute("aria-pressed", "true");
  button.setAttribute("aria-busy", "true");
  let words;
  try {
    const { photo, box } = await query(mine.abort.signal);
    const body = new FormData();
    body.append("image", photo, "photo");
    body.append("item_id", result.item_id);
    if (box) body.append("box", box.join(","));
    const found = await answer(await fetch("/v1/explain", { method: "POST", body, signal: mine.abort.signal }));
    if (shown !== mine) return;
    const picture = button.parentElement.querySelector(".picture");
    const image = picture.querySelector("img");
    mine.canvases.push(lay(picture, contained(image), found.item));
    if (!$("query-image").hidden) mine.canvases.push(lay($("stage"), [0, 0, 1, 1], found.query));
    words = `What makes result ${result.rank} alike: ${place(found.query)} of the query, ${place(found.item)} of the item.`;
  } catch (error) {
    if (shown !== mine) return;
    button.setAttribute("aria-pressed", "false");
    const busy = error.problem?.status === 503;
    words = busy ? "Another explanation is being made; try again in a moment." : error.problem?.detail || "No explanation: the service cannot be reached.";
  }
  button.removeAttribute("aria-busy");
  $("why-text").textContent = words;
  $("why").hidden = false;
  $("status").textContent = words;
}
