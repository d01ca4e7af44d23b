// Rows of cells, one below the other as they develop; only the first row is in the text.

import { fateOf } from "../data/cache";
import { flag, h, s, say } from "../dom";
import { itemWeights, onItem, tint, type Actions, type Frame } from "../panel";
import type { Item, Scene } from "../data/scene";
import type { Told, View } from "./index";

const MOST_ROWS = 96;

interface One {
  element: HTMLElement;
  said: HTMLElement;
  target: SVGElement;
}

export class CellsView implements View {
  readonly element = h("div", { class: "automaton" });
  private readonly all: One[];

  constructor(scene: Scene, private readonly actions: Actions) {
    this.all = scene.picture.items.map((item, i) => this.one(item, i));
    this.element.append(...this.all.map((one) => one.element));
  }

  private one(item: Item, index: number): One {
    const all = item.rows!;
    const left = all.length - MOST_ROWS;
    const rows = left > 0 ? [...all.slice(0, MOST_ROWS / 2), ...all.slice(-MOST_ROWS / 2)] : all;
    const columns = rows[0].length;
    let [row, column] = item.target as [number, number];
    if (left > 0) row -= left;
    const squares = (from: number, to: number, value: number) => rows.slice(from, to)
      .map((cells, r) => cells.map((cell, c) => (cell === value ? `M${c + 0.06} ${r + from + 0.06}h.88v.88h-.88z` : "")).join("")).join("");
    const target = s("rect", { class: "target", x: column, y: row, width: 1, height: 1 });
    const svg = s("svg", { viewBox: `-0.2 -0.2 ${columns + 0.4} ${rows.length + 0.4}`, role: "img", "aria-label": item.label ?? item.name },
      s("path", { class: "off given", d: squares(0, 1, 0) }), s("path", { class: "on given", d: squares(0, 1, 1) }),
      s("path", { class: "off", d: squares(1, rows.length, 0) }), s("path", { class: "on", d: squares(1, rows.length, 1) }), target);
    const said = h("span", {});
    const element = h("figure", onItem(this.actions, index), h("figcaption", {}, `${item.name} `, said), svg, left > 0 ? h("p", { class: "note" }, `${left} steps in the middle are left out.`) : undefined);
    return { element, said, target };
  }

  update(frame: Frame, { query, text, right }: Told): void {
    const { scene, boundary, lit } = frame;
    const { path } = scene.queries[query], weights = itemWeights(frame);
    this.all.forEach((one, item) => {
      const asked = path.includes(item);
      one.element.className = fateOf(scene, item, boundary);
      tint(one.element, weights[item]);
      flag(one.element, "asked", asked);
      flag(one.element, "lit", lit?.items.has(item) ?? false);
      say(one.said, asked ? `says ${text || "it"} ${right ? "✓" : "✗"}` : "");
      one.said.className = right ? "good" : "bad";
      one.target.setAttribute("class", `target ${asked ? (right ? "good" : "bad") : ""}`);
    });
  }
}
