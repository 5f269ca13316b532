// The query on the page: its picture, the part of it that is searched with, and the way to it.

import { nameOf } from "./cards.js";
import { $, button, element } from "./elements.js";
import * as part from "./part.js";

const MOST_CRUMBS = 5;

const titleOf = ({ file, item }) => (file ? file.name || "Pasted photo" : nameOf(item));
const parts = document.getElementsByName("part");

// `query` has a photo's `file` and `box`, or an `item`; undefined: nothing is searched.
export function showQuery(query) {
  document.body.classList.toggle("has-query", Boolean(query));
  $("query").hidden = !query;
  $("drop-title").textContent = query ? "Another photo" : "Choose a photo";
  if (!query) return;
  const photo = Boolean(query.file);
  $("stage").hidden = false;
  $("part").hidden = !photo;
  $("query-image").src = query.picture;
  $("query-image").alt = photo ? "Your photo" : nameOf(query.item);
  $("query-kind").textContent = photo ? "Your photo" : "Item of the catalogue";
  $("query-name").textContent = titleOf(query);
  $("query-id").textContent = query.item?.item_id ?? "";
  showPart(query);
}

// For a photo that the browser cannot show or the service cannot read.
export function hidePhoto() {
  $("stage").hidden = $("part").hidden = true;
  part.showFrame(null);
}

// `found` is the frame of the main object, which comes with the answer.
export function showPart({ box, found }) {
  const own = Array.isArray(box);
  for (const choice of parts) choice.checked = choice.value === (own ? "own" : box ?? "whole");
  part.showFrame(own ? box : box === "auto" ? found : null);
}

// The way from the last photo to the current query. Each step goes back in the browser's history.
export function showTrail(queries, position) {
  $("trail").hidden = !queries[position];
  if (!queries[position]) return;
  const first = Math.max(0, queries.findLastIndex(({ file }, index) => file && index <= position));
  const crumbs = [button("Start", () => history.go(-1 - position))];
  if (position - first >= MOST_CRUMBS) crumbs.push(element("span", {}, "…"));
  for (let index = Math.max(first, position - MOST_CRUMBS + 1); index <= position; index += 1) {
    crumbs.push(crumb(queries[index], index - position));
  }
  const list = element("ol", {}, ...crumbs.map((node) => element("li", {}, node)));
  $("trail").replaceChildren(button("← Back", () => history.back(), "back"), list);
}

function crumb(query, steps) {
  const text = query.file ? "Your photo" : titleOf(query);
  const node = steps === 0 ? element("span", { ariaCurrent: "page" }, text) : button(text, () => history.go(steps));
  node.title = titleOf(query);
  return node;
}

// `changed` is called with the new box: null for the whole photo, "auto" for the main object, or four fractions.
export function listen(changed) {
  const [image, boxes] = [$("query-image"), { whole: () => null, auto: () => "auto", own: () => part.showFrame() }];
  image.addEventListener("load", () => {
    $("stage").style.setProperty("--ratio", image.naturalWidth / image.naturalHeight || 1);
  });
  image.addEventListener("error", hidePhoto);
  for (const choice of parts) choice.addEventListener("change", () => changed(boxes[choice.value]()));
  part.listen(changed);
}
