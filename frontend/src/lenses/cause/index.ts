// The lens "cause": change a part of S, let the model read on, and compare its answers with a control's.

import { toBytes } from "../../asks";
import { flag, h, say } from "../../dom";
import { Painter, sized } from "../../matrix";
import type { Actions, Frame, Paint } from "../../panel";
import { indexOf, LENS_NAMES, type Address } from "../../data/place";
import type { Scene } from "../../data/scene";
import { signed } from "../../words";
import { choose, fill, given, Problem, select, set, whole } from "../fields";
import type { Lens } from "../index";
import { Question, sleepOf } from "../question";
import { nats, NO_HOST, NO_MODEL } from "../words";
import { answersTable, logitsTable } from "./table";

const WAYS: [string, string][] = [["noise", "Is it needed? The donor’s part in this reading"], ["denoise", "Is it enough? This part in the donor’s reading"]];
const SIDE = 92;

export class CauseLens implements Lens {
  readonly element = h("div", { class: "cause" });
  readonly above = h("section", { class: "card cause", "aria-label": "Cause" });
  private frame?: Frame;
  private readonly one: Question;
  private readonly every: Question;
  private readonly ready: boolean;
  private wantsEvery = "";
  private drawn?: any;
  private answers?: HTMLElement;
  private readonly choose = (part: Address) => choose(this.actions, this.frame, part);
  private readonly action = select("action", "Action", this.choose);
  private readonly part = select("part", "Part of S", this.choose);
  private readonly donor = select("donor", "Donor", this.choose);
  private readonly way = select("way", "Question", this.choose);
  private readonly modes = whole("modes", "Modes of each head", this.choose, 1);
  private readonly changed = whole("changed", "Pass", this.choose, 1);
  private readonly percent = whole("percent", "Scaled to, per cent", this.choose, -200);
  private readonly fields = [this.action, this.part, this.donor, this.way, this.modes, this.changed, this.percent];
  private readonly problem = new Problem(this.fields);
  private readonly back = h("button", { type: "button", class: "quiet", onclick: () => this.goBack() }, "Go to the last moment before the answers");
  private readonly early = h("p", { class: "note" }, "Later passes write S again, which can undo the change.");
  private readonly sentence = h("p", { class: "conclusion" });
  private readonly sure = h("p", { class: "sure" });
  private readonly ranking = h("p", { class: "sure" });
  private readonly states = h("div", { class: "states" });
  private readonly details = h("details", { class: "more" });
  private readonly donorSleep = h("button", { type: "button", class: "quiet", onclick: () => this.showDonor() }, "Show the donor’s sleep");
  private readonly painter = new Painter();

  constructor(private readonly scene: Scene, private readonly actions: Actions) {
    this.one = new Question("cause", actions);
    this.every = new Question("cause every", actions);
    this.ready = scene.source.kind !== "trace" && Boolean(actions.ask);
    if (!this.ready) {
      this.above.append(h("p", { class: "note" }, scene.source.kind === "trace" ? NO_MODEL : NO_HOST));
      return;
    }
    const button = (words: string, onclick: () => void) => h("button", { type: "button", class: "quiet", onclick }, words);
    this.above.append(this.sentence, this.sure, h("div", { class: "form row" }, ...this.fields.map((field) => field.element)), this.problem.element, h("div", { class: "row" }, this.early, this.back),
      h("div", { class: "row" }, button("Try every head", () => this.tryEvery()), button("Compare the changed sleep", () => this.showChanged()), this.donorSleep),
      this.one.status, this.every.status, this.ranking);
    this.element.append(this.states, this.details, h("div", { class: "row" }, this.one.csv(), this.one.python()));
  }

  private ask(frame: Frame): { what: string; [name: string]: unknown } {
    const { scene, state, boundary } = frame;
    const [window, pass] = scene.boundaries[boundary];
    return { what: "cause", ...sleepOf(scene), window, pass, layer: scene.layers[state.layer], head: state.head, ...given(state.chosen, LENS_NAMES.cause) };
  }

  /** The question without the part: what "every head" depends on. */
  private everyAsk(frame: Frame) {
    const { part, layer, head, modes, changed, ...rest } = this.ask(frame);
    return { ...rest, what: "cause", every: true };
  }

  update(frame: Frame): void {
    this.frame = frame;
    if (!this.ready) return;
    this.one.ask(this.ask(frame));
    const every = this.everyAsk(frame);
    if (this.wantsEvery && this.wantsEvery !== JSON.stringify(every)) this.wantsEvery = "";
    const { result, waiting } = this.one;
    for (const part of [this.element, this.above]) flag(part, "stale", waiting);
    this.form(frame, result);
    say(this.ranking, this.wantsEvery && this.every.result?.sentence ? `${this.every.result.sentence} ${this.every.result.sure}` : "");
    if (waiting || result === this.drawn) return;
    this.drawn = result;
    this.answers = result?.rows && answersTable(frame.scene, result, (query) => this.actions.choose(query));
    say(this.sentence, result?.sentence ?? "");
    say(this.sure, result?.sure ?? "");
    this.drawStates(frame, result);
    this.details.hidden = !result?.rows;
    if (result?.rows) {
      this.details.replaceChildren(h("summary", {}, "What was done, and all controls"),
        ...[result.rule, result.exact, result.omits].filter(Boolean).map((words: string) => h("p", { class: "note" }, words)), logitsTable(frame.scene, result));
    }
  }

  private form({ state, scene, boundary }: Frame, result: any): void {
    const { chosen } = state, { choices, asked } = result ?? {};
    const now = (name: string) => String(chosen[name] ?? asked?.[name] ?? "");
    if (choices) {
      fill(this.action, Object.entries(choices.actions), now("action"));
      fill(this.part, Object.entries(choices.parts), now("part"));
      fill(this.donor, Array.from({ length: choices.donors }, (_, i) => [String(i), `example ${i + 1}`] as [string, string]), now("donor"));
    }
    fill(this.way, WAYS, now("way"));
    for (const field of [this.modes, this.changed, this.percent]) set(field, now(field.name));
    const patch = now("action") === "patch";
    this.donor.element.hidden = this.way.element.hidden = !patch;
    this.donorSleep.hidden = !patch;
    this.modes.element.hidden = now("part") !== "modes";
    this.changed.element.hidden = now("part") !== "change";
    this.percent.element.hidden = now("action") !== "scale";
    const { problem = "", field = "" } = this.one.waiting ? {} : (result ?? {});
    this.problem.show(problem, field);
    const [window, pass] = scene.boundaries[boundary], [last, end] = choices?.last ?? [window, pass];
    this.early.hidden = window > last || (window === last && pass >= end);
    this.back.hidden = !choices || (this.early.hidden && field !== "boundary");
    const several = scene.layers.length > 1 ? ` of layer ${scene.layers[state.layer]}` : "";
    for (const option of (this.part.input as HTMLSelectElement).options) {
      if (option.value === "head") option.text = `head ${state.head}${several} (choose it below)`;
      if (option.value === "layer") option.text = `layer ${scene.layers[state.layer]}`;
    }
  }

  private goBack(): void {
    const [window, pass] = this.one.result.choices.last;
    const boundary = indexOf(this.scene, window, pass);
    if (boundary >= 0) this.actions.set({ boundary });
  }

  private tryEvery(): void {
    if (!this.frame) return;
    const ask = this.everyAsk(this.frame);
    this.wantsEvery = JSON.stringify(ask);
    this.every.ask(ask);
    this.actions.redraw();
  }

  private showChanged(): void {
    if (this.frame) this.actions.beside({ ...this.ask(this.frame), scene: true });
  }

  private showDonor(): void {
    const donor = this.one.result?.asked?.donor;
    if (donor !== undefined) this.actions.beside({ ...sleepOf(this.scene), what: "scene", example: donor });
  }

  /** S of the chosen head with every control, on one scale. */
  private drawStates({ theme, scene }: Frame, result: any): void {
    const { states, columns } = result ?? {};
    if (!states) return void this.states.replaceChildren();
    const all: Float32Array[] = states.values.map((text: string) => new Float32Array(toBytes(text).slice().buffer));
    const limit = Math.max(1e-9, ...all.map((one) => one.reduce((most, value) => Math.max(most, Math.abs(value)), 0)));
    const height = Math.round((SIDE * Math.min(scene.key, 2 * scene.value)) / scene.value);
    const figures = all.map((values, i) => {
      const canvas = h("canvas", { role: "img", "aria-label": `S of head ${states.head}, ${columns[i][1]}` });
      this.painter.paint(sized(canvas, SIDE, height), values, scene.key, scene.value, limit, theme, 0, 0, SIDE, height);
      return h("figure", {}, canvas, h("figcaption", {}, columns[i][1]));
    });
    this.states.replaceChildren(h("p", { class: "note" }, `S of head ${states.head}, from ${signed(-limit)} to ${signed(limit)}`), ...figures);
  }

  paint(): Paint | undefined {
    const { result } = this.one;
    const heads: (number | null)[][] | undefined = this.wantsEvery ? this.every.result?.heads : undefined;
    const most = Math.max(1e-9, ...(heads ?? []).flat().map((value) => Math.abs(value ?? 0)));
    return {
      key: `cause ${this.one.waiting}`,
      heads: heads && ((layer, head) => ({ weight: (heads[layer]?.[head] ?? 0) / most, text: nats(heads[layer]?.[head], 1) })),
      answers: this.answers && result?.rows ? { title: "What becomes of the answers", element: this.answers } : undefined,
    };
  }

  destroy(): void {
    this.one.destroy();
    this.every.destroy();
  }
}
