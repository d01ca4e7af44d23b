// The lens "memory": instruments on the chosen head. Some the scene is enough for; the others the host draws.

import type { Ask } from "../../asks";
import { attribute, h, say } from "../../dom";
import { pictureItems, save, saveMenu, saveText } from "../../export/menu";
import type { Actions, Frame } from "../../panel";
import type { Scene } from "../../data/scene";
import { sleepOf } from "../../data/place";
import type { Lens } from "../index";
import { progressWords } from "../words";
import { Curves } from "./curves";
import { elsewhere, isDrawn, NAMES, titleOf, type AskedName, type Name } from "./names";
import { drawable, library, PlotView, together, type Plot, type Result } from "./plotly";
import { Written } from "./written";

/** Results that are kept of a scene; the one not looked at for the longest goes first. */
const MOST_RESULTS = 24;
/** How long the scrubber rests before a figure is asked for alone. */
const REST_MS = 250;

export class MemoryLens implements Lens {
  readonly element = h("div", { class: "instruments" });
  private readonly buttons: HTMLButtonElement[];
  private readonly wrong = h("p", { class: "wrong", role: "alert" });
  private readonly says = h("p", { class: "says" });
  private readonly waiting = h("p", { class: "note", role: "status" });
  private readonly body = h("div", { class: "instrument" });
  private readonly curves: Curves;
  private readonly written: Written;
  private readonly results = new Map<string, Result>();
  private views: PlotView[] = [];
  private frame!: Frame;
  /** What is on the screen, and what is being asked for or failed, by the key of a result. */
  private shown = "";
  private asked = "";
  private failed = "";
  private timer = 0;

  constructor(private readonly scene: Scene, private readonly actions: Actions) {
    this.curves = new Curves(scene);
    this.written = new Written(scene, actions);
    const usable = NAMES.filter((name) => name !== "written" || scene.arrays.has("share") || scene.asked?.includes("share"));
    this.buttons = usable.map((name) => h("button", { type: "button", "data-instrument": name, onclick: () => this.choose(name) }, titleOf(name)));
    const saving = saveMenu("Save this figure or its numbers", [
      ["SVG", () => void this.picture("svg")], ["PNG", () => void this.picture("png")], ["Numbers (CSV)", () => this.csv()],
    ]);
    this.element.append(
      h("div", { class: "row names" }, h("div", { class: "chips", role: "group", "aria-label": "Instruments" }, ...this.buttons), saving),
      this.wrong, this.says, this.waiting, this.body);
  }

  destroy(): void {
    clearTimeout(this.timer);
    this.written.destroy();
    this.views.forEach((view) => view.destroy());
  }

  private choose(name: Name): void {
    this.actions.set({ chosen: { ...this.frame.state.chosen, instrument: name } });
  }

  private get name(): Name {
    return NAMES.find((name) => name === this.frame.state.chosen.instrument) ?? "curves";
  }

  private key(name: AskedName): string {
    const { state: { layer, head }, theme } = this.frame;
    return [name, layer, head, theme].join(" ");
  }

  update(frame: Frame): void {
    this.frame = frame;
    const { name } = this, given = frame.state.chosen.instrument;
    for (const button of this.buttons) attribute(button, "aria-pressed", String(button.dataset.instrument === name));
    say(this.wrong, given === undefined || given === name ? this.wrongOf(name) : `instrument = ${given} is unknown; ${NAMES.join(", ")} exist.`);
    if (isDrawn(name)) {
      const chart = this[name];
      this.put(name, chart.element);
      say(this.says, "");
      say(this.waiting, "");
      chart.update(frame);
    } else this.updateAsked(name);
  }

  private wrongOf(name: Name): string {
    return !isDrawn(name) && this.failed.startsWith(`${this.key(name)}: `) ? this.failed.slice(this.key(name).length + 2) : "";
  }

  private put(key: string, ...elements: HTMLElement[]): void {
    if (this.shown === key) return;
    this.shown = key;
    this.views.forEach((view) => view.destroy());
    this.views = [];
    this.body.replaceChildren(...elements);
  }

  private updateAsked(name: AskedName): void {
    const { actions, frame } = this, { boundary } = frame;
    if (!actions.ask || !drawable(actions.plotly)) {
      this.put(`elsewhere ${name}`);
      say(this.says, elsewhere(name, Boolean(actions.ask)));
      return say(this.waiting, "");
    }
    const key = this.key(name), result = this.results.get(key);
    if (!result) {
      if (!this.wrongOf(name)) this.ask(name, key, boundary, false);
      else this.put(`failed ${key}`);
      return;
    }
    this.results.delete(key);
    this.results.set(key, result); // the newest is last
    say(this.says, `${result.shows} `);
    this.says.append(h("span", { class: "omits" }, result.omits));
    void this.draw(key, result);
    if (result.plots.every(({ at }) => at[boundary] >= 0)) return;
    clearTimeout(this.timer);
    this.timer = window.setTimeout(() => this.name === name && this.key(name) === key && this.ask(name, key, this.frame.boundary, false), REST_MS);
  }

  private async draw(key: string, result: Result): Promise<void> {
    try {
      const plotly = await library(this.actions.plotly ?? "");
      const { name } = this;
      if (isDrawn(name) || this.key(name) !== key) return; // something else was chosen meanwhile
      if (this.shown !== key && this.views.length === result.plots.length && this.shown.split(" ")[0] === name) this.shown = key;
      else if (this.shown !== key) {
        const views = result.plots.map(() => new PlotView(plotly));
        this.put(key, ...views.map((view) => view.room));
        this.views = views;
      }
      result.plots.forEach((plot, i) => this.views[i].show(plot, this.frame.boundary));
    } catch (error) {
      say(this.wrong, (error as Error).message);
    }
  }

  /** What names this sleep and place to the host. */
  private place(name: AskedName, boundary: number): Ask {
    const { scene, frame: { state, theme } } = this;
    const [window, pass] = scene.boundaries[boundary];
    return { what: "instrument", ...sleepOf(scene), instrument: name, layer: scene.layers[state.layer], head: state.head, window, pass, theme };
  }

  private ask(name: AskedName, key: string, boundary: number, every: boolean): void {
    const asked = `${key} ${every || boundary}`;
    if (this.asked === asked) return;
    this.asked = asked;
    if (!this.results.has(key)) {
      say(this.waiting, `${titleOf(name)}: the host works it out …`);
      say(this.says, "");
      if (this.shown.split(" ")[0] !== name) this.put(`waiting ${key}`);
    }
    this.actions.ask!({ ...this.place(name, boundary), every }, ({ problem, result }) => {
      this.asked = "";
      say(this.waiting, "");
      if (problem) this.failed = `${key}: ${problem}`;
      else {
        const before = this.results.get(key);
        this.results.set(key, before ? together(before, result) : result);
        if (this.results.size > MOST_RESULTS) this.results.delete(this.results.keys().next().value!);
        // what is looked at comes first; then all other boundaries, so that the scrubber needs no host
        const more = !every && !before && result.plots.some(({ at }: Plot) => at.includes(-1));
        if (more && this.name === name && this.key(name) === key) this.ask(name, key, boundary, true);
      }
      this.update(this.frame);
    }, (progress) => say(this.waiting, `${titleOf(name)}: ${progressWords(progress)}`));
  }

  private get file(): string {
    const { scene, frame: { state } } = this;
    return `${scene.model.name.replaceAll("/", "-")}-${this.name}-layer-${scene.layers[state.layer]}-head-${state.head}`;
  }

  private async picture(format: "svg" | "png"): Promise<void> {
    if (!this.views.length) return pictureItems(this.body, this.file)[format === "svg" ? 0 : 1][1]();
    for (const [i, view] of this.views.entries()) save(`${this.file}${this.views.length > 1 ? `-${i + 1}` : ""}.${format}`, await view.image(format));
  }

  private csv(): void {
    const { name, frame: { state, boundary } } = this;
    if (name === "curves") return saveText(`${this.file}.csv`, this.curves.csv(state.layer), "text/csv");
    if (name === "written") return saveText(`${this.file}.csv`, this.written.csv(state.layer, state.head), "text/csv");
    if (!this.actions.ask) return;
    this.asked = "";
    this.actions.ask({ ...this.place(name, boundary), csv: true }, ({ problem, result }) => {
      if (!problem) saveText(result.file, result.csv, "text/csv");
      this.update(this.frame);
      if (problem) say(this.wrong, problem);
    });
  }
}
