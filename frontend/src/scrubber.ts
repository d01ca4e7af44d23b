// The foot of the page: all passes of all windows on one line, and the buttons that walk along it.

import { score } from "./data/answers";
import { attribute, flag, h, onWidth, s, say } from "./dom";
import { tint, type Actions, type Frame } from "./panel";
import { number, type Scene } from "./data/scene";
import { announcement, eyebrow, percent, story } from "./words";

const HEIGHT = 80, TOP = 27, FLOOR = 64;
const GATE = 0.8;

/** Where each boundary stands on the line, in cells; a gate between two windows takes room. */
export function positions(scene: Scene): number[] {
  let at = -1;
  return scene.boundaries.map(([, pass], i) => (at += i > 0 && pass === 0 ? 1 + GATE : 1));
}

export class Scrubber {
  readonly element: HTMLElement;
  private readonly play = h("button", { type: "button", class: "play" });
  private readonly slider = h("div", { class: "line", role: "slider", tabindex: 0, "aria-label": "Position in the sleep", "aria-valuemin": 0 });
  private readonly told = h("p", { class: "unseen", "aria-live": "polite" });
  private readonly label = h("span", { class: "now" });
  private readonly head = s("g", { class: "playhead" }, s("line", { y1: TOP - 6, y2: FLOOR + 4 }), s("circle", { cy: TOP - 6, r: 6 }));
  private readonly stop: () => void;
  private centres: number[] = [];
  private bars: SVGElement[] = [];
  private scene?: Scene;
  private width = 0;
  private boundary = 0;
  private timer = 0;

  constructor(private readonly actions: Actions, private readonly toggle: () => void) {
    this.play.addEventListener("click", this.toggle);
    const step = (by: number, words: string, icon: string) =>
      h("button", { type: "button", class: "step", "aria-label": words, title: words, onclick: () => this.go(this.boundary + by) }, icon);
    const foot = h("div", { class: "transport" }, step(-1, "One pass back (left arrow)", "‹"), this.play, step(1, "One pass on (right arrow)", "›"));
    const key = h("p", { class: "key" }, h("span", {}, h("i", { class: "k-bar" }), "how much each pass changed S"),
      h("span", { class: "k-score" }, h("i", { class: "k-line" }), "answers right"), h("span", {}, h("i", { class: "k-gate" }), "the text is forgotten"));
    this.element = h("footer", { class: "scrubber", "aria-label": "Scrubber", role: "group" }, foot, this.slider, h("div", { class: "below" }, this.label, key), this.told);
    this.listen();
    this.stop = onWidth(this.slider, (width) => {
      this.width = width;
      this.draw();
    });
  }

  destroy(): void {
    clearTimeout(this.timer);
    this.stop();
  }

  show(scene: Scene): void {
    if (scene === this.scene) return;
    this.scene = scene;
    this.draw();
  }

  private go(boundary: number): void {
    const last = this.scene!.boundaries.length - 1;
    this.actions.set({ boundary: Math.min(Math.max(boundary, 0), last), playing: false });
  }

  private listen(): void {
    const { slider } = this;
    const to = (event: PointerEvent) => {
      const x = event.clientX - slider.getBoundingClientRect().left;
      let best = 0;
      this.centres.forEach((centre, i) => void (Math.abs(centre - x) < Math.abs(this.centres[best] - x) && (best = i)));
      this.go(best);
    };
    slider.addEventListener("pointerdown", (event) => {
      slider.setPointerCapture(event.pointerId);
      to(event);
    });
    slider.addEventListener("pointermove", (event) => {
      if (slider.hasPointerCapture(event.pointerId)) to(event);
    });
  }

  /** Draw the line for a scene and a width; a step then moves the head alone. */
  private draw(): void {
    const { scene, width } = this;
    if (!scene || !width) return;
    const at = positions(scene), cells = at[at.length - 1] + 1;
    const cell = (width - 8) / cells;
    this.centres = at.map((one) => 4 + (one + 0.5) * cell);
    const change = scene.boundaries.map((_, b) => number(scene, "memory_change", b));
    const most = Math.max(0.2, ...change.filter(Number.isFinite));
    const svg = s("svg", { viewBox: `0 0 ${width} ${HEIGHT}`, width, height: HEIGHT, "aria-hidden": "true" });
    scene.entries.forEach((_, entry) => svg.append(...this.window(scene, entry, cell)));
    this.bars = [];
    const bar = Math.max(2, Math.min(cell - 3, 46));
    scene.boundaries.forEach(([, pass], b) => {
      const value = Number.isFinite(change[b]) ? change[b] : 0;
      const height = pass === 0 ? 2 : Math.max(2, ((FLOOR - TOP) * Math.min(value, most)) / most);
      this.bars.push(s("rect", { class: "amount", x: (this.centres[b] - bar / 2).toFixed(1), y: (FLOOR - height).toFixed(1), width: bar.toFixed(1), height: height.toFixed(1), rx: 2 }));
      svg.append(this.bars[b]);
      if (cell > 15) svg.append(s("text", { class: "tick", x: this.centres[b].toFixed(1), y: FLOOR + 13 }, pass === 0 ? "·" : String(pass)));
    });
    svg.append(...this.scores(scene), this.head);
    this.slider.replaceChildren(svg);
    attribute(this.slider, "aria-valuemax", String(scene.boundaries.length - 1));
    this.place();
  }

  private window(scene: Scene, entry: number, cell: number): SVGElement[] {
    const { awake } = scene.entries[entry];
    const mine = scene.boundaries.flatMap(([e], b) => (e === entry ? [this.centres[b]] : []));
    const left = mine[0] - cell / 2, right = mine[mine.length - 1] + cell / 2;
    const found: SVGElement[] = [s("rect", { class: awake ? "zone awake" : "zone", x: left.toFixed(1), y: TOP - 4, width: (right - left).toFixed(1), height: FLOOR - TOP + 4, rx: 5 })];
    const number = scene.entries[entry].window + 1;
    const words = [`window ${number} · ${awake ? "awake" : "asleep"}`, awake ? "awake" : `window ${number}`, awake ? "" : String(number)];
    const fits = words.find((one) => one.length * 6.3 < right - left + 4);
    if (fits) found.push(s("text", { class: "name", x: (left + 2).toFixed(1), y: 11 }, fits));
    if (entry > 0) {
      const gate = left - (GATE * cell) / 2;
      found.push(s("path", { class: "gate", d: `M${gate.toFixed(1)} ${TOP - 6}V${FLOOR + 2}` }));
    }
    return found;
  }

  private scores(scene: Scene): SVGElement[] {
    const count = Math.max(1, scene.queries.length);
    const y = (b: number) => FLOOR - 2 - ((FLOOR - TOP - 2) * score(scene, b)) / count;
    const points = this.centres.map((x, b) => `${x.toFixed(1)} ${y(b).toFixed(1)}`);
    const dots = this.centres.map((x, b) => s("circle", { class: "score", r: this.centres.length > 80 ? 1.5 : 3, cx: x.toFixed(1), cy: y(b).toFixed(1) }));
    return [s("path", { class: "score", d: `M${points.join("L")}` }), ...dots];
  }

  private place(): void {
    const centre = this.centres[this.boundary]; // a scene with fewer passes may not have it yet
    if (centre !== undefined) this.head.setAttribute("transform", `translate(${centre.toFixed(1)} 0)`);
  }

  update({ scene, state, paint, veiled }: Frame): void {
    this.bars.forEach((bar, b) => tint(bar, paint?.boundaries?.[b]));
    this.boundary = state.boundary;
    this.place();
    const { boundary } = state;
    const right = veiled ? "" : `${score(scene, boundary)} of ${scene.queries.length} right`;
    const change = number(scene, "memory_change", boundary);
    say(this.label, [eyebrow(scene, boundary), right].filter(Boolean).join(" · "));
    attribute(this.slider, "aria-valuenow", String(boundary));
    attribute(this.slider, "aria-valuetext", `${[eyebrow(scene, boundary), right].filter(Boolean).join(", ")}${Number.isFinite(change) ? `, S moved by ${percent(change)}` : ""}`);
    say(this.play, state.playing ? "❚❚" : "▶");
    attribute(this.play, "aria-label", state.playing ? "Pause (space)" : "Play (space)");
    flag(this.play, "on", state.playing);
    if (!state.playing) {
      clearTimeout(this.timer);
      this.timer = window.setTimeout(() => say(this.told, veiled ? `${eyebrow(scene, boundary)}. ${story(scene, boundary)}` : announcement(scene, boundary)), 600);
    }
  }
}
