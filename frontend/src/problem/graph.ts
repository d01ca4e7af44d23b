// A graph: nodes on a circle in the order of the arrows; the path of a question step by step.

import { fateOf } from "../data/cache";
import { attribute, flag, s } from "../dom";
import { sharesOfAll } from "../data/focus";
import { itemWeights, onItem, tint, type Actions, type Frame } from "../panel";
import type { Scene } from "../data/scene";
import type { Told, View } from "./index";

const RADIUS = 100;

interface Edge {
  element: SVGElement;
  line: SVGElement;
  hit: SVGElement;
  number: SVGElement;
}

/** Nodes along the arrows, beginning with the first edge's source. */
export function inOrder(edges: { source?: string; target?: unknown }[]): string[] {
  const leads = new Map<string, string>();
  for (const { source, target } of edges) if (!leads.has(source!)) leads.set(source!, String(target));
  const order = new Set<string>();
  for (const { source, target } of edges) {
    for (const begin of [source!, String(target)]) {
      let node: string | undefined = begin;
      while (node !== undefined && !order.has(node)) {
        order.add(node);
        node = leads.get(node);
      }
    }
  }
  return [...order];
}

export class GraphView implements View {
  readonly element: SVGElement;
  private readonly edges: Edge[] = [];
  private readonly nodes = new Map<string, SVGElement>();
  private readonly size: number;

  constructor(private readonly scene: Scene, private readonly actions: Actions) {
    const { items, label } = scene.picture;
    const order = inOrder(items);
    const count = order.length;
    this.size = Math.max(5, Math.min(16, (1.9 * RADIUS) / count));
    const place = new Map(order.map((name, i) => {
      const turn = (2 * Math.PI * i) / count - Math.PI / 2;
      return [name, [RADIUS * Math.cos(turn), RADIUS * Math.sin(turn)] as const];
    }));
    this.element = s("svg", { class: "graph", viewBox: "-132 -124 264 248", role: "img", "aria-label": label }, arrowHeads());
    items.forEach((item, i) => {
      const edge = this.edge(place.get(item.source!)!, place.get(String(item.target))!, i);
      this.edges.push(edge);
      this.element.append(edge.element);
    });
    for (const name of order) {
      const [x, y] = place.get(name)!;
      const node = s("g", { class: "node" }, s("circle", { cx: x, cy: y, r: this.size }),
        count <= 40 ? s("text", { x, y, "font-size": (1.05 * this.size).toFixed(1) }, name) : undefined);
      this.nodes.set(name, node);
      this.element.append(node);
    }
  }

  private edge(from: readonly [number, number], to: readonly [number, number], item: number): Edge {
    const length = Math.hypot(to[0] - from[0], to[1] - from[1]) || 1;
    const ux = (to[0] - from[0]) / length, uy = (to[1] - from[1]) / length;
    const start = this.size + 3, end = length - this.size - 6;
    const d = `M${(from[0] + ux * start).toFixed(1)} ${(from[1] + uy * start).toFixed(1)}L${(from[0] + ux * end).toFixed(1)} ${(from[1] + uy * end).toFixed(1)}`;
    const line = s("path", { class: "line", d }), hit = s("path", { class: "hit", d });
    const middle = [(from[0] + to[0]) / 2 + 15 * uy, (from[1] + to[1]) / 2 - 15 * ux];
    const number = s("text", { class: "step", x: middle[0].toFixed(1), y: middle[1].toFixed(1) });
    const element = s("g", { class: "edge", ...onItem(this.actions, item) }, s("title", {}, this.scene.picture.items[item].name), line, hit, number);
    return { element, line, hit, number };
  }

  update(frame: Frame, { query, text, right }: Told): void {
    const { boundary, lit, scene } = frame;
    const { path, start, answer } = scene.queries[query];
    const shares = sharesOfAll(scene, boundary), weights = itemWeights(frame);
    this.edges.forEach(({ element, line, number }, item) => {
      const [a, b] = scene.picture.items[item].tokens;
      const hop = path.indexOf(item) + 1;
      let share = 0;
      for (let token = a; token < b; token++) share += Math.max(0, shares?.[token] ?? 0);
      const width = (1.4 + 14 * Math.min(share, 0.3)).toFixed(1);
      element.setAttribute("class", `edge ${fateOf(scene, item, boundary)}${hop ? " hop" : ""}${lit?.items.has(item) ? " lit" : ""}`);
      attribute(element, "style", hop ? `--hop: ${hop}` : undefined);
      tint(element, weights[item]);
      attribute(line, "stroke-width", hop ? String(Math.max(2.6, Number(width))) : width);
      attribute(line, "marker-end", hop ? "url(#hop)" : "url(#edge)");
      number.textContent = hop && path.length > 1 ? String(hop) : "";
    });
    for (const [name, node] of this.nodes) {
      flag(node, "start", name === start);
      flag(node, "right", name === answer);
      flag(node, "wrong", !right && name === text);
    }
  }
}

export function arrowHeads(): SVGElement {
  const head = (id: string) => s("marker", { id, viewBox: "0 0 8 8", refX: 4, refY: 4, markerWidth: 8, markerHeight: 8, markerUnits: "userSpaceOnUse", orient: "auto" },
    s("path", { class: id, d: "M0 0L8 4L0 8z" }));
  return s("defs", {}, head("edge"), head("hop"));
}
