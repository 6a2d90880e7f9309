// A line over time as SVG; its last value is also there as text.
import { make } from "./elements.js";

const SVG = "http://www.w3.org/2000/svg";
const KEPT = 150;

export class Chart {
  constructor(title, unit, digits = 1) {
    Object.assign(this, { unit, digits, values: [] });
    this.latest = make("strong", {}, "…");
    this.svg = document.createElementNS(SVG, "svg");
    this.svg.setAttribute("viewBox", "0 0 100 40");
    this.svg.setAttribute("preserveAspectRatio", "none");
    this.svg.setAttribute("aria-hidden", "true");
    this.area = document.createElementNS(SVG, "polygon");
    this.line = document.createElementNS(SVG, "polyline");
    this.svg.append(this.area, this.line);
    this.element = make("figure", { className: "chart" }, make("figcaption", {}, title, this.latest), this.svg);
  }

  add(value) {
    if (!Number.isFinite(value)) return;
    this.values = [...this.values, value].slice(-KEPT);
    this.latest.textContent = `${value.toFixed(this.digits)} ${this.unit}`;
    const top = Math.max(...this.values) || 1;
    const step = 100 / Math.max(1, this.values.length - 1);
    const points = this.values.map((one, index) => `${index * step},${39 - (37 * one) / top}`).join(" ");
    this.line.setAttribute("points", points);
    this.area.setAttribute("points", `0,40 ${points} 100,40`);
  }
}
