// The lens "credit": what one answer is owed to, painted where it is, and how far that adds up.

import type { Ask } from "../../asks";
import { h, quiet, scrolled } from "../../dom";
import { tint, type Actions, type Frame, type Paint } from "../../panel";
import { LENS_NAMES, sleepOf } from "../../data/place";
import type { Scene } from "../../data/scene";
import { AskingLens } from "../asking";
import { fill, given, select, set, whole } from "../fields";
import { nats } from "../words";
import { ofBoundaries, ofCells, ofHeads, ofTokens, table, type Credit } from "./parts";

const MOST_ROWS = 64;
/** Numbers of all heads that a host sends at most; of more, those of the chosen head. */
const MOST_VALUES = 65_536;

export class CreditLens extends AskingLens {
  private serial = 0;
  private readonly query = h("select", { onchange: () => this.actions.choose(Number(this.query.value)) });
  private readonly to = select("to", "Attribute to", this.choose, ["method", "baseline", "steps", "samples"]);
  private readonly method = select("method", "Method", this.choose, ["baseline", "steps", "samples"]);
  private readonly baseline = select("baseline", "Baseline", this.choose);
  private readonly steps = whole("steps", "Steps of the path", this.choose, 2);
  private readonly samples = whole("samples", "Orders drawn", this.choose, 1);
  private readonly scale = h("p", { class: "note legend" });
  private readonly table = h("div", {});

  constructor(scene: Scene, actions: Actions) {
    super("credit", "Credit", scene, actions);
    this.query.append(...scene.queries.map(({ label }, query) => h("option", { value: query }, label)));
    this.build([this.to, this.method, this.baseline, this.steps, this.samples], [h("label", {}, "Answer to ", this.query)],
      [quiet("Compare with shuffled parameters", () => this.askMore())], [this.scale, this.table]);
  }

  protected ask({ scene, state, boundary }: Frame): Ask {
    const chosen = given(state.chosen, LENS_NAMES.credit);
    const kind = this.one.result?.choices?.kinds?.[String(chosen.to ?? "passes and heads")] ?? "state";
    const [window, pass] = scene.boundaries[boundary];
    // tokens are the same at every moment, passes at every moment of their sleep
    const place = kind === "embeddings" ? { window: 0, pass: 0 } : kind === "changes" ? { window, pass: 0 } : { window, pass };
    const large = scene.key * scene.value * scene.layers.length * scene.heads > MOST_VALUES;
    const head = large ? { layer: scene.layers[state.layer], head: state.head } : {};
    return { what: "credit", ...sleepOf(scene), query: state.query, ...place, ...head, ...chosen };
  }

  protected moreAsk(frame: Frame): Ask {
    return { ...this.ask(frame), check: true };
  }

  protected moreWords({ problem = "", check = "" }): string {
    return check || problem;
  }

  protected fill({ state }: Frame, choices: any, now: (name: string) => string): void {
    if (this.query.value !== String(state.query)) this.query.value = String(state.query);
    for (const field of [this.to, this.method, this.baseline]) {
      const names: string[] = choices[{ to: "subjects", method: "methods", baseline: "baselines" }[field.name]!];
      fill(field, names.map((name) => [name, name]), now(field.name));
    }
    for (const field of [this.steps, this.samples]) {
      field.element.hidden = !choices[field.name];
      set(field, now(field.name));
    }
  }

  protected draw(frame: Frame, result: any): void {
    this.serial++;
    this.scale.hidden = !result;
    this.table.replaceChildren();
    if (!result) return;
    this.scale.replaceChildren(h("span", { class: "swatch for" }, `speaks for the answer, up to ${nats(result.limit)} nat`), " ",
      h("span", { class: "swatch against" }, `against it, down to ${nats(-result.limit)} nat`));
    const found = table(frame.scene, result);
    if (found && found.rows.length <= MOST_ROWS) {
      const cell = (value: number) => {
        const element = h("td", { class: "weight" }, nats(value));
        tint(element, value / result.limit);
        return element;
      };
      const rows = found.rows.map((name, row) => h("tr", {}, h("th", { scope: "row" }, name), ...found.values[row].map(cell)));
      this.table.append(scrolled("What the answer is owed to, in nat", ["", ...found.columns], rows, "parts"));
    }
    const facts = h("table", { class: "facts" }, h("tbody", {}, ...result.facts.map(([name, value, note]: string[]) =>
      h("tr", {}, h("th", { scope: "row" }, name), h("td", {}, value, note ? h("small", {}, ` ${note}`) : undefined)))));
    this.details.replaceChildren(h("summary", {}, "What was asked, and how far to trust it"), facts,
      ...[result.about, result.omits].map((words: string) => h("p", { class: "note" }, words)));
  }

  paint({ scene, boundary }: Frame): Paint | undefined {
    const credit: Credit | undefined = this.one.result?.values ? this.one.result : undefined;
    if (!credit || this.one.waiting) return undefined;
    const tokens = ofTokens(scene, credit)?.map((value) => value / credit.limit);
    const passes = ofBoundaries(scene, credit);
    const heads = ofHeads(scene, credit, boundary);
    const most = (all: ArrayLike<number>) => Math.max(1e-9, ...Array.from(all, (value) => Math.abs(value) || 0));
    const limit = heads && most(heads.flat());
    return {
      key: `credit ${this.serial}`,
      tokens,
      boundaries: passes?.map((value) => value / most(passes)),
      heads: heads && ((layer, head) => ({ weight: heads[layer][head] / limit!, text: nats(heads[layer][head], 1) })),
      cells: (layer, head) => {
        const values = ofCells(scene, credit, layer, head);
        return values && { values, limit: credit.limit, name: "what each entry adds to the answer, in nat" };
      },
    };
  }
}
