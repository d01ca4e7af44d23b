// The lens "memory": what the sleep does to the chosen head.

import { attribute, h, s, term } from "../../dom";
import type { Frame } from "../../panel";
import { number, type Scene } from "../../data/scene";
import { percent } from "../../words";
import type { Lens } from "../index";

const CURVE = { width: 300, height: 74 };

export class MemoryLens implements Lens {
  readonly element: HTMLElement;
  private readonly curves: Curves;

  constructor(scene: Scene) {
    this.curves = new Curves(scene);
    this.element = this.curves.element;
  }

  update({ boundary, state }: Frame): void {
    this.curves.update(boundary, state.layer, state.head);
  }
}

/** How much each pass changes the chosen head, and how much the first pass's writes would, repeated. */
class Curves {
  readonly element: HTMLElement;
  private readonly line = s("path", { class: "line" });
  private readonly base = s("path", { class: "base" });
  private readonly dots = s("g", {});
  private readonly here = s("line", { class: "here", y1: 4, y2: CURVE.height - 14 });
  private readonly top = s("text", { x: 0, y: 12 });
  private drawn = "";

  constructor(private readonly scene: Scene) {
    const svg = s("svg", { viewBox: `0 0 ${CURVE.width} ${CURVE.height}`, role: "img", "aria-label": "Change of this head per pass" },
      s("path", { class: "floor", d: `M30 ${CURVE.height - 14}H${CURVE.width}` }), this.here, this.base, this.line, this.dots, this.top,
      s("text", { x: 0, y: CURVE.height - 11 }, "0"));
    const known = [...(scene.arrays.get("baseline_change")?.data ?? [])].some(Number.isFinite);
    this.element = h("figure", { class: "change" },
      h("figcaption", {}, "How much each pass moves this head", ...(known ? ["; dashed, ", term("baseline", "the first pass’s writes repeated")] : []), "."), svg);
  }

  update(boundary: number, layer: number, head: number): void {
    const key = `${layer} ${head}`;
    if (key !== this.drawn) this.draw(layer, head);
    this.drawn = key;
    const x = this.x(boundary).toFixed(1);
    attribute(this.here, "x1", x);
    attribute(this.here, "x2", x);
  }

  private x(boundary: number): number {
    return 36 + ((CURVE.width - 44) * boundary) / Math.max(1, this.scene.boundaries.length - 1);
  }

  private draw(layer: number, head: number): void {
    const { scene } = this;
    const values = (name: string) => scene.boundaries.map(([, pass], b) => (pass === 0 ? NaN : number(scene, name, b, layer, head)));
    const change = values("relative_change"), base = values("baseline_change");
    const most = Math.max(0.05, ...change.concat(base).filter(Number.isFinite));
    const y = (value: number) => CURVE.height - 14 - ((CURVE.height - 24) * Math.min(value, most)) / most;
    const path = (all: number[]) => {
      let d = "", pen = "M";
      all.forEach((value, b) => {
        if (Number.isFinite(value)) d += `${pen}${this.x(b).toFixed(1)} ${y(value).toFixed(1)}`;
        pen = Number.isFinite(value) ? "L" : "M";
      });
      return d;
    };
    this.line.setAttribute("d", path(change));
    this.base.setAttribute("d", path(base));
    this.dots.replaceChildren(...change.flatMap((value, b) => (Number.isFinite(value) ? [s("circle", { r: 2.6, cx: this.x(b).toFixed(1), cy: y(value).toFixed(1) })] : [])));
    this.top.textContent = percent(most);
  }
}
