// A line over time as SVG; its last value is also there as text.
import { make } from "./elements.js";

const SVG = "http://www.w3.org/2000/svg";
const KEPT = 150;
const SECONDS_EACH = 2;

export class Chart {
  constructor(title, unit, digits = 1) {
    Object.assign(this, { unit, digits, values: [] });
    this.latest = make("strong", {}, "none yet");
    this.scale = make("p", { className: "chart-scale" });
    this.svg = document.createElementNS(SVG, "svg");
    this.svg.setAttribute("viewBox", "0 0 100 40");
    this.svg.setAttribute("preserveAspectRatio", "none");
    this.svg.setAttribute("aria-hidden", "true");
    this.area = document.createElementNS(SVG, "polygon");
    this.line = document.createElementNS(SVG, "polyline");
    this.svg.append(this.area, this.line);
    this.element = make("figure", { className: "chart" }, make("figcaption", {}, title, this.latest), this.svg, this.scale);
  }

  add(value) {
    if (!Number.isFinite(value)) return;
    this.values = [...this.values, value].slice(-KEPT);
    const inUnit = (number) => `${number.toFixed(this.digits)} ${this.unit}`.trim();
    const top = Math.max(...this.values);
    this.latest.textContent = inUnit(value);
    this.since ??= Date.now();
    const span = Math.min((Date.now() - this.since) / 1000, KEPT * SECONDS_EACH);
    this.scale.replaceChildren(make("span", {}, `${Math.round(span)} s ago`), make("span", {}, `top ${inUnit(top)}`), make("span", {}, "now"));
    const step = 100 / Math.max(1, this.values.length - 1);
    const points = this.values.map((one, index) => `${index * step},${39 - (37 * one) / (top || 1)}`).join(" ");
    this.line.setAttribute("points", points);
    this.area.setAttribute("points", `0,40 ${points} 100,40`);
  }
}
