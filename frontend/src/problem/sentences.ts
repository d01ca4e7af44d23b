// Sentences, one a line, with the steps of the way to an answer; and what follows from what.

import { fateOf } from "../data/cache";
import { arrowHeads } from "./graph";
import { chain, type Layout } from "./chain";
import { h, s, say } from "../dom";
import { sharesOfAll } from "../data/focus";
import { itemWeights, onItem, tint, type Actions, type Frame } from "../panel";
import type { Scene } from "../data/scene";
import { percent } from "../words";
import type { Told, View } from "./index";

interface Line {
  element: HTMLElement;
  step: HTMLElement;
  share: HTMLElement;
  number: HTMLElement;
}

export class SentencesView implements View {
  readonly element = h("div", { class: "story" });
  private readonly lines: Line[];
  private readonly drawing = h("div", { class: "chainbox" });
  private nodes = new Map<number, SVGElement>();
  private drawn = -1;

  constructor(private readonly scene: Scene, private readonly actions: Actions) {
    this.lines = scene.picture.items.map((item, i) => this.line(item.name, i));
    const list = h("ol", { class: "sentences", tabindex: 0, "aria-label": scene.picture.label }, ...this.lines.map((line) => line.element));
    const noise = scene.picture.items.some((item) => item.role === "noise");
    this.element.append(list, ...(noise ? [h("p", { class: "note" }, "Sentences in italics are noise: no question needs them.")] : []), this.drawing);
  }

  private line(name: string, item: number): Line {
    const step = h("b", { class: "step" }), share = h("i", {}), number = h("span", { class: "number" });
    const element = h("li", onItem(this.actions, item), step, h("span", { class: "said" }, name), h("span", { class: "track" }, share), number);
    return { element, step, share, number };
  }

  update(frame: Frame, { query, right }: Told): void {
    const { scene, boundary, lit } = frame;
    const { path, spare } = scene.queries[query];
    const shares = sharesOfAll(scene, boundary), weights = itemWeights(frame);
    this.lines.forEach(({ element, step, share, number }, item) => {
      const hop = path.indexOf(item) + 1;
      const [a, b] = scene.picture.items[item].tokens;
      let sum = 0;
      for (let token = a; token < b; token++) sum += shares?.[token] ?? NaN;
      element.className = [fateOf(scene, item, boundary), hop ? "hop" : spare?.includes(item) ? "spare" : scene.picture.items[item].role ?? "", lit?.items.has(item) ? "lit" : ""].join(" ");
      tint(element, weights[item]);
      say(step, hop ? String(hop) : "");
      share.style.transform = `scaleX(${Math.min(1, Math.max(0, sum || 0))})`;
      say(number, sum === sum ? percent(sum) : "");
    });
    if (this.drawn !== query) this.draw(query);
    const asked = this.nodes.get(-1);
    if (asked) asked.setAttribute("class", `node asked ${right ? "good" : "bad"}`);
    for (const [item, node] of this.nodes) if (item >= 0) node.classList.toggle("lit", lit?.items.has(item) ?? false);
  }

  private draw(query: number): void {
    this.drawn = query;
    const layout = chain(this.scene.picture.items, this.scene.queries[query]);
    this.nodes = new Map();
    this.drawing.replaceChildren(...(layout ? [this.picture(layout)] : []));
  }

  private picture(layout: Layout): SVGElement {
    const svg = s("svg", { class: "chain", viewBox: `0 0 ${layout.width.toFixed(0)} ${layout.height.toFixed(0)}`, role: "img",
      style: `max-width:${layout.width.toFixed(0)}px`, "aria-label": "What follows from what, the given quantities on top" }, arrowHeads());
    for (const [from, to, on] of layout.edges) {
      const a = layout.nodes.get(from)!, b = layout.nodes.get(to)!;
      svg.append(s("path", { class: `line ${on ? "hop" : ""}`, "marker-end": `url(#${on ? "hop" : "edge"})`, d: `M${a.x.toFixed(1)} ${(a.y + 11).toFixed(1)}L${b.x.toFixed(1)} ${(b.y - 16).toFixed(1)}` }));
    }
    for (const [item, { x, y, width, text, on }] of layout.nodes) {
      const node = s("g", { class: `node ${on ? "on" : ""}` }, s("title", {}, this.scene.picture.items[item]?.name ?? "asked"),
        s("rect", { x: (x - width / 2).toFixed(1), y: y - 11, width: width.toFixed(1), height: 22, rx: 11 }), s("text", { x: x.toFixed(1), y }, text));
      this.nodes.set(item, node);
      svg.append(node);
    }
    return svg;
  }
}
