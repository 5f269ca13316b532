// Items as cards, of the results and of the start page.

import { $ } from "./elements.js";

const PRICE = new Intl.NumberFormat("en", { minimumFractionDigits: 2, maximumFractionDigits: 2 });

export const nameOf = ({ brand, category, item_id: id }) => [brand, category].filter(Boolean).join("\u00a0· ") || id;
const priceOf = ({ price }) => (price === null ? "No price" : PRICE.format(price));
const stockOf = ({ in_stock: stock }) => (stock === null ? "" : stock ? "In stock" : "Sold out");

function labelOf(item) {
  const rank = item.rank ? `${item.rank}: ` : "";
  const similarity = item.score == null ? "" : `similarity ${item.score.toFixed(2)}`;
  const facts = [nameOf(item), item.color, priceOf(item), stockOf(item), similarity].filter(Boolean);
  return `${rank}${facts.join(", ")}. Show similar items`;
}

function showPicture(image, { picture }) {
  image.addEventListener("error", () => image.parentElement.classList.add("missing"));
  image.src = picture;
}

function showColor(node, { color }) {
  const [dot, text] = node.children;
  node.hidden = !color;
  text.textContent = color;
  dot.hidden = !CSS.supports("color", color ?? "");
  if (!dot.hidden) dot.style.background = color;
}

// `choose` is called with the item when its card is clicked. Items of the start page have neither rank nor score.
export function card(item, choose) {
  const node = $("card").content.cloneNode(true);
  const part = (name) => node.querySelector(`.${name}`);
  part("rank").textContent = item.rank ?? "";
  part("name").textContent = part("name").title = nameOf(item);
  part("price").textContent = priceOf(item);
  part("price").classList.toggle("unknown", item.price === null);
  part("stock").textContent = stockOf(item);
  part("stock").classList.add(item.in_stock ? "yes" : "no");
  part("score").hidden = item.score == null;
  part("bar").style.setProperty("--share", Math.max(0, item.score ?? 0));
  part("number").textContent = item.score?.toFixed(3) ?? "";
  part("id").textContent = part("id").title = item.item_id;
  showColor(part("color"), item);
  showPicture(node.querySelector("img"), item);
  part("card").setAttribute("aria-label", labelOf(item));
  part("card").addEventListener("click", () => choose(item));
  return node;
}
