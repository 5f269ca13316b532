"use strict";
const chart = document.querySelector(".map svg");
if (chart) {
  const points = JSON.parse(document.getElementById("points").textContent);
  const dots = [...chart.querySelectorAll("circle")];
  const tip = document.getElementById("tip");
  const hidden = new Set();
  const box = document.querySelector(".map");

  chart.addEventListener("pointermove", (event) => {
    const frame = chart.getBoundingClientRect();
    const x = ((event.clientX - frame.left) / frame.width) * 1000;
    const y = ((event.clientY - frame.top) / frame.height) * 700;
    let nearest = null;
    let least = 20 * 20;
    for (const point of points) {
      const distance = (point.x - x) ** 2 + (point.y - y) ** 2;
      if (distance < least && !hidden.has(point.group)) [nearest, least] = [point, distance];
    }
    tip.hidden = nearest === null;
    if (nearest === null) return;
    tip.querySelector("img").src = nearest.image;
    tip.querySelector("span").textContent = nearest.label;
    const left = (nearest.x / 1000) * frame.width;
    tip.style.left = `${Math.min(left + 12, box.clientWidth - 120)}px`;
    tip.style.top = `${(nearest.y / 700) * frame.height + 12}px`;
  });
  chart.addEventListener("pointerleave", () => { tip.hidden = true; });

  for (const button of document.querySelectorAll(".legend button")) {
    button.addEventListener("click", () => {
      const group = Number(button.dataset.group);
      const shown = hidden.delete(group) || (hidden.add(group), false);
      button.setAttribute("aria-pressed", String(shown));
      dots.forEach((dot, i) => { if (points[i].group === group) dot.classList.toggle("off", !shown); });
    });
  }
}
