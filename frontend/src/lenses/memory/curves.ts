// What each pass did to every head of a layer, from the scene alone: size, change, rank; and the answers.

import { levelColour, type Theme } from "../../colours";
import { attribute, h, s, say, term } from "../../dom";
import type { Frame } from "../../panel";
import { number, type Scene } from "../../data/scene";
import { percent } from "../../words";

const WIDTH = 300, HEIGHT = 96, LEFT = 36, FLOOR = HEIGHT - 16, TOP = 10;
/** Room for a letter at most. */
const LETTER = 5.5;

interface Line {
  values: number[];
  look: string;
  name: string;
  colour?: string;
}

interface Panel {
  title: (Node | string)[];
  lines: Line[];
  /** The top of the axis at least, and its words. */
  least: number;
  words: (value: number) => string;
}

export class Curves {
  readonly element = h("div", { class: "curves" });
  private heres: SVGLineElement[] = [];
  private readonly note = h("p", { class: "note" });
  private readonly figures = h("div", { class: "row4" });
  private drawn = "";

  constructor(private readonly scene: Scene) {
    this.element.append(this.figures, this.note);
  }

  update({ boundary, state, theme }: Frame): void {
    const key = `${state.layer} ${state.head} ${this.scene.patches.size} ${theme}`;
    if (key !== this.drawn) this.draw(state.layer, state.head, theme);
    this.drawn = key;
    const x = this.x(boundary).toFixed(1);
    for (const here of this.heres) {
      attribute(here, "x1", x);
      attribute(here, "x2", x);
    }
  }

  /** The numbers that are drawn, a row for each. */
  csv(layer: number): string {
    const { scene } = this;
    const rows = ["window,sleep_pass,layer,gdn_head,variable,value"];
    for (const name of ["norm", "relative_change", "baseline_change", "effective_rank"]) {
      scene.boundaries.forEach(([entry, pass], boundary) => {
        for (let head = 0; head < scene.heads; head++) {
          const value = this.value(name, boundary, layer, head);
          if (Number.isFinite(value)) rows.push(`${entry},${pass},${scene.layers[layer]},${head},${name},${value.toPrecision(7)}`);
        }
      });
    }
    return `${rows.join("\n")}\n`;
  }

  private value(name: string, boundary: number, layer: number, head: number): number {
    const moves = name.endsWith("change") && this.scene.boundaries[boundary][1] === 0;
    return moves ? NaN : number(this.scene, name, boundary, layer, head);
  }

  private x(boundary: number): number {
    return LEFT + 6 + ((WIDTH - LEFT - 12) * boundary) / Math.max(1, this.scene.boundaries.length - 1);
  }

  private draw(layer: number, head: number, theme: Theme): void {
    const { scene } = this;
    const along = (name: string, of: number) => scene.boundaries.map((_, boundary) => this.value(name, boundary, layer, of));
    const heads = (name: string): Line[] => Array.from({ length: scene.heads }, (_, i) => i)
      .sort((a, b) => Number(a === head) - Number(b === head))
      .map((i) => ({ values: along(name, i), look: i === head ? "line" : "other", name: `head ${i}` }));
    const base: Line = { values: along("baseline_change", head), look: "base", name: "the first pass’s writes repeated" };
    const known = base.values.some(Number.isFinite);
    const panels: Panel[] = [
      { title: ["Size of S"], lines: heads("norm"), least: 0, words: (v) => v.toPrecision(2) },
      { title: ["Moved by each pass", ...(known ? ["; dashed: ", term("baseline", "a replay")] : [])], lines: [...heads("relative_change"), base], least: 0.05, words: percent },
      { title: ["Directions in use (effective rank)"], lines: heads("effective_rank"), least: 1, words: (v) => v.toFixed(1) },
    ];
    if (scene.queries.length) panels.push({ title: [`Right answer’s probability by ${scene.task.difficulty || "difficulty"}`], lines: this.answers(theme), least: 1, words: percent });
    const shown = panels.filter(({ lines }) => lines.some(({ values }) => values.some(Number.isFinite)));
    const made = shown.map((panel) => this.panel(panel));
    this.heres = made.map(([, here]) => here);
    this.figures.replaceChildren(...made.map(([figure]) => figure));
    say(this.note, scene.heads > 1 ? `Head ${head} is drawn strongly, the other heads of its layer faintly.` : "");
  }

  /** The mean over the questions of each difficulty, hardest in front. */
  private answers(theme: Theme): Line[] {
    const { scene } = this;
    const levels = [...new Set(scene.queries.map((query) => query.difficulty))].sort((a, b) => a - b);
    return levels.map((level) => ({
      values: scene.boundaries.map((_, boundary) => {
        const all = scene.queries.flatMap((query, n) => (query.difficulty === level ? [number(scene, "right_probability", boundary, n)] : []));
        return all.reduce((a, b) => a + b, 0) / all.length;
      }),
      look: "level", colour: levelColour(theme, level), name: `${scene.task.difficulty || "difficulty"} ${level}`,
    }));
  }

  private panel({ title, lines, least, words }: Panel): [HTMLElement, SVGLineElement] {
    const most = Math.max(least, ...lines.flatMap(({ values }) => values.filter(Number.isFinite))) || 1;
    const y = (value: number) => FLOOR - ((FLOOR - TOP) * Math.min(value, most)) / most;
    const here = s("line", { class: "here", y1: 4, y2: FLOOR });
    const svg = s("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": title.map((one) => (typeof one === "string" ? one : one.textContent)).join("") },
      s("path", { class: "floor", d: `M${LEFT} ${FLOOR}H${WIDTH}` }), here,
      s("text", { x: 0, y: TOP + 4 }, words(most)), s("text", { x: 0, y: FLOOR + 3 }, "0"));
    for (const [name, start] of this.windows()) {
      const x = this.x(start), ends = x + LETTER * name.length > WIDTH;
      svg.append(s("text", { x: ends ? WIDTH : x.toFixed(1), y: HEIGHT - 3, "text-anchor": ends ? "end" : undefined }, name));
    }
    for (const { values, look, name, colour } of lines) {
      let d = "", pen = "M";
      values.forEach((value, boundary) => {
        if (Number.isFinite(value)) d += `${pen}${this.x(boundary).toFixed(1)} ${y(value).toFixed(1)}`;
        pen = Number.isFinite(value) ? "L" : "M";
      });
      svg.append(s("path", { class: look, d, style: colour && `stroke: ${colour}` }, s("title", {}, name)));
      if (look === "other") continue;
      values.forEach((value, boundary) => {
        if (look === "line" && Number.isFinite(value)) svg.append(s("circle", { r: 2.4, cx: this.x(boundary).toFixed(1), cy: y(value).toFixed(1) }, s("title", {}, `${name}: ${words(value)}`)));
      });
    }
    const legend = lines.flatMap(({ name, colour }) => (colour ? [h("span", { class: "key-of-line" }, h("i", { style: `background: ${colour}` }), `${name} `)] : []));
    return [h("figure", { class: "change" }, h("figcaption", {}, ...title, legend.length ? ": " : "", ...legend), svg), here];
  }

  /** The name of each window, of those read awake in a row together, and the boundary where it begins. */
  private windows(): [string, number][] {
    const { boundaries, entries } = this.scene;
    const found = entries.flatMap(({ window, awake }, entry): [string, number][] => {
      if (awake && entries[entry - 1]?.awake) return [];
      const more = entries.slice(entry).findIndex((one) => !one.awake), last = more < 0 ? entries.length - 1 : entry + more - 1;
      const name = awake && last > entry ? `${window + 1}–${entries[last].window + 1}` : `${window + 1}`;
      return [[awake ? `${name} awake` : name, boundaries.findIndex(([e]) => e === entry)]];
    });
    return found.filter((_, i) => i % Math.ceil(found.length / 6) === 0);
  }
}
