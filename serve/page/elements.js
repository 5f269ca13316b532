// Finding and making elements of the page.

export const $ = (id) => document.getElementById(id);

export function element(tag, properties = {}, ...children) {
  const node = Object.assign(document.createElement(tag), properties);
  node.append(...children);
  return node;
}

export function button(text, onClick, className = "") {
  const node = element("button", { type: "button", className }, text);
  node.addEventListener("click", onClick);
  return node;
}
