// The lens "cause": change a part of S, let the model read on, and compare its answers with a control's.

import { toBytes, type Ask } from "../../asks";
import { h, quiet } from "../../dom";
import { Painter, sized } from "../../matrix";
import type { Actions, Frame, Paint } from "../../panel";
import { LENS_NAMES, sleepOf } from "../../data/place";
import type { Scene } from "../../data/scene";
import { signed } from "../../words";
import { AskingLens } from "../asking";
import { fill, given, select, set, whole } from "../fields";
import { nats } from "../words";
import { answersTable, logitsTable } from "./table";

const WAYS: [string, string][] = [["noise", "Is it needed? The donor’s part in this reading"], ["denoise", "Is it enough? This part in the donor’s reading"]];
const SIDE = 92;

export class CauseLens extends AskingLens {
  private readonly action = select("action", "Action", this.choose);
  private readonly part = select("part", "Part of S", this.choose);
  private readonly donor = select("donor", "Donor", this.choose);
  private readonly way = select("way", "Question", this.choose);
  private readonly modes = whole("modes", "Modes of each head", this.choose, 1);
  private readonly changed = whole("changed", "Pass", this.choose, 1);
  private readonly percent = whole("percent", "Scaled to, per cent", this.choose, -200);
  private readonly states = h("div", { class: "states" });
  private readonly donorSleep = quiet("Show the donor’s sleep", () => this.showDonor());
  private readonly painter = new Painter();
  private answers?: HTMLElement;

  constructor(scene: Scene, actions: Actions) {
    super("cause", "Cause", scene, actions);
    const fields = [this.action, this.part, this.donor, this.way, this.modes, this.changed, this.percent];
    this.build(fields, [], [quiet("Try every head", () => this.askMore()), quiet("Compare the changed sleep", () => this.showChanged()), this.donorSleep], [this.states]);
  }

  protected ask({ scene, state, boundary }: Frame): Ask {
    const [window, pass] = scene.boundaries[boundary];
    return { what: "cause", ...sleepOf(scene), window, pass, layer: scene.layers[state.layer], head: state.head, ...given(state.chosen, LENS_NAMES.cause) };
  }

  /** The question without the part: what "every head" depends on. */
  protected moreAsk(frame: Frame): Ask {
    const { part, layer, head, modes, changed, ...rest } = this.ask(frame);
    return { ...rest, every: true };
  }

  protected moreWords({ problem = "", sentence = "", sure = "" }): string {
    return `${sentence || problem} ${sure}`;
  }

  protected fill({ state, scene, boundary }: Frame, choices: any, now: (name: string) => string): void {
    const several = scene.layers.length > 1 ? ` of layer ${scene.layers[state.layer]}` : "";
    const parts = { ...choices.parts, head: `head ${state.head}${several} (choose it below)`, layer: `layer ${scene.layers[state.layer]}` };
    fill(this.action, Object.entries(choices.actions), now("action"));
    fill(this.part, Object.entries(parts), now("part"));
    fill(this.donor, Array.from({ length: choices.donors }, (_, i) => [String(i), `example ${i + 1}`] as [string, string]), now("donor"));
    fill(this.way, WAYS, now("way"));
    for (const field of [this.modes, this.changed, this.percent]) set(field, now(field.name));
    this.donor.element.hidden = this.way.element.hidden = this.donorSleep.hidden = now("action") !== "patch";
    this.modes.element.hidden = now("part") !== "modes";
    this.changed.element.hidden = now("part") !== "change";
    this.percent.element.hidden = now("action") !== "scale";
    const [window, pass] = scene.boundaries[boundary], [last, end] = choices.last;
    this.early.hidden = window > last || (window === last && pass >= end);
  }

  private showChanged(): void {
    this.actions.beside({ ...this.ask(this.frame!), scene: true });
  }

  private showDonor(): void {
    const donor = this.one.result?.asked?.donor;
    if (donor !== undefined) this.actions.beside({ what: "scene", ...sleepOf(this.scene), example: donor });
  }

  protected draw({ scene, theme }: Frame, result: any): void {
    this.answers = result && answersTable(scene, result, (query) => this.actions.choose(query));
    this.states.replaceChildren();
    if (!result) return;
    this.drawStates(result, scene, theme);
    this.details.replaceChildren(h("summary", {}, "What was done, and all controls"),
      ...[result.rule, result.exact, result.omits].filter(Boolean).map((words: string) => h("p", { class: "note" }, words)), logitsTable(scene, result));
  }

  /** S of the chosen head with every control, on one scale. */
  private drawStates({ states, columns }: any, scene: Scene, theme: Frame["theme"]): void {
    const all: Float32Array[] = states.values.map((text: string) => new Float32Array(toBytes(text).slice().buffer));
    const limit = Math.max(1e-9, ...all.map((one) => one.reduce((most, value) => Math.max(most, Math.abs(value)), 0)));
    const height = Math.round((SIDE * Math.min(scene.key, 2 * scene.value)) / scene.value);
    const figures = all.map((values, i) => {
      const canvas = h("canvas", { role: "img", "aria-label": `S of head ${states.head}, ${columns[i][1]}` });
      this.painter.paint(sized(canvas, SIDE, height), values, scene.key, scene.value, limit, theme, 0, 0, SIDE, height);
      return h("figure", {}, canvas, h("figcaption", {}, columns[i][1]));
    });
    this.states.append(h("p", { class: "note" }, `S of head ${states.head}, from ${signed(-limit)} to ${signed(limit)}`), ...figures);
  }

  paint(): Paint {
    const { heads, spread = 0 }: { heads?: (number | null)[][]; spread?: number } = this.moreResult ?? {};
    const most = Math.max(1e-9, spread, ...(heads ?? []).flat().map((value) => Math.abs(value ?? 0)));
    return {
      key: `cause ${this.one.waiting}`,
      heads: heads && ((layer, head) => ({ weight: (heads[layer]?.[head] ?? 0) / most, text: nats(heads[layer]?.[head], 1) })),
      answers: this.answers && { title: "What becomes of the answers", element: this.answers },
    };
  }
}
