// The lens "credit": what one answer is owed to, painted where it is, and how far that adds up.

import { flag, h, say } from "../../dom";
import { tint, type Actions, type Frame, type Paint } from "../../panel";
import { indexOf, LENS_NAMES, type Address } from "../../data/place";
import type { Scene } from "../../data/scene";
import { choose, fill, given, Problem, select, set, whole } from "../fields";
import type { Lens } from "../index";
import { Question, sleepOf } from "../question";
import { nats, NO_HOST, NO_MODEL } from "../words";
import { ofBoundaries, ofCells, ofHeads, ofTokens, table, type Credit } from "./parts";

const MOST_ROWS = 64;

export class CreditLens implements Lens {
  readonly element = h("div", { class: "credit" });
  readonly above = h("section", { class: "card credit", "aria-label": "Credit" });
  private frame?: Frame;
  private readonly one: Question;
  private readonly checked: Question;
  private wantsCheck = "";
  private drawn?: any;
  private serial = 0;
  private readonly ready: boolean;
  private readonly choose = (part: Address) => choose(this.actions, this.frame, part);
  private readonly query = h("select", { onchange: () => this.actions.choose(Number(this.query.value)) });
  private readonly to = select("to", "Attribute to", this.choose, ["method", "baseline", "steps", "samples"]);
  private readonly method = select("method", "Method", this.choose, ["baseline", "steps", "samples"]);
  private readonly baseline = select("baseline", "Baseline", this.choose);
  private readonly steps = whole("steps", "Steps of the path", this.choose, 2);
  private readonly samples = whole("samples", "Orders drawn", this.choose, 1);
  private readonly fields = [this.to, this.method, this.baseline, this.steps, this.samples];
  private readonly problem = new Problem(this.fields);
  private readonly back = h("button", { type: "button", class: "quiet", onclick: () => this.goBack() }, "Go to the last moment before the answers");
  private readonly sentence = h("p", { class: "conclusion" });
  private readonly sure = h("p", { class: "sure" });
  private readonly check = h("p", { class: "sure" });
  private readonly scale = h("p", { class: "note legend" });
  private readonly table = h("div", {});
  private readonly details = h("details", { class: "more" });

  constructor(private readonly scene: Scene, private readonly actions: Actions) {
    this.one = new Question("credit", actions);
    this.checked = new Question("credit check", actions);
    this.ready = scene.source.kind !== "trace" && Boolean(actions.ask) && scene.queries.length > 0;
    if (!this.ready) {
      this.above.append(h("p", { class: "note" }, scene.source.kind === "trace" ? NO_MODEL : NO_HOST));
      return;
    }
    this.query.append(...scene.queries.map(({ label }, query) => h("option", { value: query }, label)));
    const compare = h("button", { type: "button", class: "quiet", onclick: () => this.compare() }, "Compare with shuffled parameters");
    this.above.append(this.sentence, this.sure, this.check,
      h("div", { class: "form row" }, h("label", {}, "Answer to ", this.query), ...this.fields.map((field) => field.element)),
      this.problem.element, this.back, h("div", { class: "row" }, compare), this.one.status, this.checked.status);
    this.element.append(this.scale, this.table, this.details, h("div", { class: "row" }, this.one.csv(), this.one.python()));
  }

  private ask({ scene, state, boundary }: Frame): { what: string; [name: string]: unknown } {
    const chosen = given(state.chosen, LENS_NAMES.credit);
    const kind = this.one.result?.choices?.kinds?.[String(chosen.to ?? "passes and heads")] ?? "state";
    const [window, pass] = scene.boundaries[boundary];
    // tokens are the same at every moment, passes at every moment of their sleep
    const place = kind === "embeddings" ? { window: 0, pass: 0 } : kind === "changes" ? { window, pass: 0 } : { window, pass };
    // of very large heads the host sends the chosen one
    const head = scene.key * scene.value * scene.layers.length * scene.heads > 65_536 ? { layer: scene.layers[state.layer], head: state.head } : {};
    return { what: "credit", ...sleepOf(scene), query: state.query, ...place, ...head, ...chosen };
  }

  update(frame: Frame): void {
    this.frame = frame;
    if (!this.ready) return;
    const ask = this.ask(frame);
    this.one.ask(ask);
    if (this.wantsCheck !== JSON.stringify(ask)) this.wantsCheck = "";
    const { result, waiting } = this.one;
    for (const part of [this.element, this.above]) flag(part, "stale", waiting);
    this.form(frame, result);
    say(this.check, (this.wantsCheck && this.checked.result?.check) || "");
    if (waiting || result === this.drawn) return;
    this.drawn = result;
    this.serial++;
    say(this.sentence, result?.sentence ?? "");
    say(this.sure, result?.sure ?? "");
    this.draw(frame.scene, result);
  }

  private form({ state }: Frame, result: any): void {
    const { choices, asked } = result ?? {};
    const now = (name: string) => String(state.chosen[name] ?? asked?.[name] ?? "");
    const same = (names: string[]): [string, string][] => names.map((name) => [name, name]);
    if (this.query.value !== String(state.query)) this.query.value = String(state.query);
    if (choices) {
      fill(this.to, same(choices.subjects), now("to"));
      fill(this.method, same(choices.methods), now("method"));
      fill(this.baseline, same(choices.baselines), now("baseline"));
      this.steps.element.hidden = !choices.steps;
      this.samples.element.hidden = !choices.samples;
    }
    for (const field of [this.steps, this.samples]) set(field, now(field.name));
    const { problem = "", field = "" } = this.one.waiting ? {} : (result ?? {});
    this.problem.show(problem, field);
    this.back.hidden = field !== "boundary" || !choices;
  }

  private draw(scene: Scene, result: any): void {
    const whole = Boolean(result?.values);
    this.details.hidden = this.scale.hidden = !whole;
    this.table.replaceChildren();
    if (!whole) return;
    this.scale.replaceChildren(h("span", { class: "swatch for" }, `speaks for the answer, up to ${nats(result.limit)} nat`), " ",
      h("span", { class: "swatch against" }, `against it, down to ${nats(-result.limit)} nat`));
    const found = table(scene, result);
    if (found && found.rows.length <= MOST_ROWS) {
      const cell = (value: number) => {
        const element = h("td", { class: "weight" }, nats(value));
        tint(element, value / result.limit);
        return element;
      };
      this.table.append(h("div", { class: "scroll", tabindex: 0, role: "group", "aria-label": "What the answer is owed to" },
        h("table", { class: "parts" }, h("caption", { class: "unseen" }, "Attribution in nat"),
          h("thead", {}, h("tr", {}, ...["", ...found.columns].map((name) => h("th", { scope: "col" }, name)))),
          h("tbody", {}, ...found.rows.map((name, row) => h("tr", {}, h("th", { scope: "row" }, name), ...found.values[row].map(cell)))))));
    }
    const facts = h("table", { class: "facts" }, h("tbody", {}, ...result.facts.map(([name, value, note]: string[]) =>
      h("tr", {}, h("th", { scope: "row" }, name), h("td", {}, value, note ? h("small", {}, ` ${note}`) : undefined)))));
    this.details.replaceChildren(h("summary", {}, "What was asked, and how far to trust it"), facts,
      ...[result.about, result.omits].map((words: string) => h("p", { class: "note" }, words)));
  }

  private goBack(): void {
    const [window, pass] = this.one.result.choices.last;
    const boundary = indexOf(this.scene, window, pass);
    if (boundary >= 0) this.actions.set({ boundary });
  }

  private compare(): void {
    if (!this.frame) return;
    const ask = this.ask(this.frame);
    this.wantsCheck = JSON.stringify(ask);
    this.checked.ask({ ...ask, check: true });
    this.actions.redraw();
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

  destroy(): void {
    this.one.destroy();
    this.checked.destroy();
  }
}
