// The form of filters: its fields, its choices and what is wrong with them.

import { $, element } from "./elements.js";

const SHOWN = 8;
const WHOLE = new Intl.NumberFormat("en");
const form = $("filters");

// The fields that are set, as the service's parameters.
export function parameters() {
  return new URLSearchParams([...new FormData(form)].filter(([, value]) => value !== ""));
}

export const count = () => Number(form.k.value);
export const active = () => [...parameters().keys()].filter((name) => name !== "k").length;
export const clear = () => form.reset();

// What is wrong with the fields, or null.
export function problem() {
  if (!form.checkValidity()) return { title: "A price is not valid", detail: "Prices are numbers from 0 on." };
  const [low, high] = [form.price_min.value, form.price_max.value];
  if (low === "" || high === "" || Number(low) <= Number(high)) return null;
  return { title: "The prices are the wrong way round", detail: `The lowest price, ${low}, is above the highest, ${high}.` };
}

export function showBundle({ filters, price }) {
  for (const name of ["category", "color", "brand"]) showChoices($(`choice-${name}`), name, filters[name].values);
  if (!price) return;
  form.price_min.placeholder = `from ${Math.floor(price[0])}`;
  form.price_max.placeholder = `to ${Math.ceil(price[1])}`;
}

function showChoices(fieldset, name, values) {
  const chips = values.map((value) => chip(name, value));
  const rest = chips.splice(SHOWN);
  fieldset.hidden = values.length < 2;
  fieldset.append(element("div", { className: "chips" }, ...chips));
  if (rest.length === 0) return;
  const summary = element("summary", {}, `${rest.length} more`);
  fieldset.append(element("details", {}, summary, element("div", { className: "chips" }, ...rest)));
}

function chip(name, { value, images }) {
  const box = element("input", { type: "checkbox", name, value });
  const text = element("span", { title: `${WHOLE.format(images)} images` }, value);
  return element("label", { className: "chip" }, box, text);
}

// `changed` is called when a field has a new value; typed prices wait until the typing stops.
export function listen(changed) {
  let timer;
  const update = () => {
    const fields = active();
    $("filters-active").textContent = fields;
    $("filters-active").hidden = $("clear").hidden = fields === 0;
    changed();
  };
  form.addEventListener("input", (event) => {
    clearTimeout(timer);
    timer = setTimeout(update, event.target.type === "number" ? 400 : 0);
  });
  form.addEventListener("reset", () => setTimeout(update)); // The event comes before the fields are emptied.
  form.addEventListener("submit", (event) => event.preventDefault());
  clear(); // After a reload some browsers fill in the former values.
}
