// What the lenses "cause" and "credit" share: a form, what the host answers, and one more question on request.

import type { Ask } from "../asks";
import { indexOf, type Address } from "../data/place";
import type { Scene } from "../data/scene";
import { flag, h, quiet, say } from "../dom";
import type { Actions, Frame } from "../panel";
import { Problem, type Field } from "./fields";
import { Question } from "./question";
import type { Lens } from "./index";
import { NO_HOST, NO_MODEL } from "./words";

export abstract class AskingLens implements Lens {
  readonly element: HTMLElement;
  readonly above: HTMLElement;
  protected frame?: Frame;
  protected readonly one: Question;
  /** What a button asks besides, and the ask for which it was pressed. */
  private readonly more: Question;
  private wanted = "";
  private drawn?: any;
  private problem = new Problem([]);
  private readonly form = h("div", { class: "form row", hidden: true });
  private readonly buttons = h("div", { class: "row", hidden: true });
  private readonly sentence = h("p", { class: "conclusion" });
  private readonly sure = h("p", { class: "sure" });
  private readonly extra = h("p", { class: "sure" });
  protected readonly early = h("p", { class: "note", hidden: true }, "Later passes write S again, which can undo the change.");
  private readonly back = quiet("Go to the last moment before the answers", () => this.goBack());
  protected readonly details = h("details", { class: "more", hidden: true });

  constructor(kind: string, title: string, protected readonly scene: Scene, protected readonly actions: Actions) {
    this.element = h("div", { class: kind });
    this.above = h("section", { class: `card ${kind}`, "aria-label": title });
    this.one = new Question(kind, actions);
    this.more = new Question(`${kind} more`, actions);
  }

  /** Put the lens together: its form, buttons, and figures; without a host a sentence takes their place. */
  protected build(fields: Field[], form: HTMLElement[], buttons: HTMLElement[], figures: HTMLElement[]): void {
    if (!this.ready) return this.above.append(h("p", { class: "note" }, this.scene.source.kind === "trace" ? NO_MODEL : NO_HOST));
    this.problem = new Problem(fields);
    this.form.append(...form, ...fields.map((field) => field.element));
    this.buttons.append(...buttons);
    this.above.append(this.sentence, this.sure, this.form, this.problem.element, h("div", { class: "row" }, this.early, this.back), this.buttons,
      this.one.status, this.more.status, this.extra);
    this.element.append(...figures, this.details, h("div", { class: "row" }, this.one.csv(), this.one.python()));
  }

  private get ready(): boolean {
    return this.scene.source.kind !== "trace" && Boolean(this.actions.ask) && this.scene.queries.length > 0;
  }

  protected abstract ask(frame: Frame): Ask;
  protected abstract moreAsk(frame: Frame): Ask;
  /** Fill the form with what the host says can be chosen; `now` is what is chosen. */
  protected abstract fill(frame: Frame, choices: any, now: (name: string) => string): void;
  /** What the further answer says. */
  protected abstract moreWords(result: any): string;
  /** Draw a new answer; `result` is one that went well, or undefined. */
  protected abstract draw(frame: Frame, result: any): void;

  /** Choose something: it goes into the address. */
  protected readonly choose = (part: Address): void => {
    const all = Object.entries({ ...this.frame?.state.chosen, ...part });
    this.actions.set({ chosen: Object.fromEntries(all.filter(([, value]) => (value ?? "") !== "")) });
  };

  /** The further answer, as long as it is about the same question. */
  protected get moreResult(): any {
    return this.wanted ? this.more.result : undefined;
  }

  protected askMore(): void {
    const ask = this.moreAsk(this.frame!);
    this.wanted = JSON.stringify(ask);
    this.more.ask(ask);
    this.actions.redraw();
  }

  update(frame: Frame): void {
    this.frame = frame;
    if (!this.ready) return;
    this.one.ask(this.ask(frame));
    if (this.wanted && this.wanted !== JSON.stringify(this.moreAsk(frame))) this.wanted = "";
    const { result, waiting } = this.one, { choices, asked } = result ?? {};
    for (const part of [this.element, this.above]) flag(part, "stale", waiting);
    if (choices) {
      this.form.hidden = this.buttons.hidden = false;
      this.fill(frame, choices, (name) => String(frame.state.chosen[name] ?? asked?.[name] ?? ""));
    }
    const { problem = "", field = "" } = waiting ? {} : (result ?? {});
    this.problem.show(problem, field);
    this.back.hidden = !choices || (this.early.hidden && field !== "boundary");
    say(this.extra, this.moreResult ? this.moreWords(this.moreResult) : "");
    if (waiting || result === this.drawn) return;
    this.drawn = result;
    say(this.sentence, result?.sentence ?? "");
    say(this.sure, result?.sure ?? "");
    this.details.hidden = !result?.sentence;
    this.draw(frame, result?.sentence ? result : undefined);
  }

  private goBack(): void {
    const [window, pass] = this.one.result.choices.last;
    const boundary = indexOf(this.scene, window, pass);
    if (boundary >= 0) this.actions.set({ boundary });
  }

  destroy(): void {
    this.one.destroy();
    this.more.destroy();
  }
}
