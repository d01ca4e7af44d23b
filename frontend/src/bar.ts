// The bar at the top: which model, which example, how many passes; compare, theme, share.

import { attribute, copyButton, flag, h, options, quiet, say, term } from "./dom";
import { isTyped, type Scene } from "./data/scene";
import { trainedNote } from "./words";

interface BarActions {
  passes(n: number): void;
  example(step: number): void;
  model(name: string): void;
  typed(text: string, queries: string): void;
  drawn(): void;
  compare(index: number): void;
  theme(): void;
  teacher(): void;
  python(): string;
}

export interface Model {
  name: string;
  title: string;
  passes?: number[];
  examples?: number;
}

export interface Setup {
  catalogue: Model[];
  live: boolean;
  teacher: boolean;
  /** Whether the page around it chooses light or dark. */
  themed: boolean;
  /** Texts that are at hand without asking. */
  sleeps: number;
  /** Values of N that can be shown at once, and all that can be asked for. */
  ready: number[];
  offered: number[];
  /** What can be compared with, by name; the first entry is nothing. */
  others: string[];
  other: number;
}

export class Bar {
  readonly element: HTMLElement;
  private readonly model = h("select", { "aria-label": "Model" });
  private readonly title = h("b", { class: "title" });
  private readonly example = h("span", { class: "row example" });
  private readonly chosen = term("chosen");
  private readonly number = h("span", {});
  private readonly stops = h("div", { class: "passes", role: "group", "aria-label": "N, the number of passes over each window" });
  private readonly note = h("p", { class: "note" });
  private readonly other = h("select", { "aria-label": "Compare with" });
  private readonly compare = h("label", { class: "compare" }, this.other);
  private readonly form: HTMLDetailsElement;
  private readonly text = h("textarea", { rows: 3, spellcheck: "false", "aria-label": "Text that the model reads" });
  private readonly queries = h("input", { spellcheck: "false", "aria-label": "Questions" });
  private readonly help = h("p", { class: "note" });
  private readonly problem = h("p", { class: "problem", role: "alert" });
  private readonly theme: HTMLElement;
  readonly teacher: HTMLElement;
  private filled = "";

  constructor(private readonly actions: BarActions) {
    const step = (by: number, words: string, icon: string) => h("button", { type: "button", "aria-label": words, onclick: () => actions.example(by) }, icon);
    this.example.append(step(-1, "Previous example", "‹"), this.number, this.chosen, step(1, "Next example", "›"));
    this.model.addEventListener("change", () => actions.model(this.model.value));
    this.other.addEventListener("change", () => actions.compare(Number(this.other.value)));
    this.form = this.ownInput();
    this.theme = h("button", { type: "button", class: "icon", "aria-label": "Light or dark", title: "Light or dark", onclick: actions.theme }, "◐");
    this.teacher = quiet("Teacher mode", actions.teacher);
    this.teacher.title = "Large type; answers stay hidden until you ask for them";
    const python = copyButton("Copy as Python", actions.python);
    python.classList.add("python");
    this.element = h("nav", { class: "bar", "aria-label": "What is shown" },
      h("div", { class: "row who" }, this.title, this.model, this.example, this.form),
      h("div", { class: "row n" }, h("span", { class: "label" }, term("N", "Passes N")), this.stops, this.note),
      h("div", { class: "row end" }, this.compare, this.teacher, python, this.theme));
    this.drag();
  }

  private ownInput(): HTMLDetailsElement {
    const { actions } = this;
    const form = h("form", { class: "sheet" }, h("label", {}, "Text", this.text), h("label", {}, "Questions", this.queries), this.help, this.problem,
      h("div", { class: "row" }, h("button", { type: "submit", class: "primary" }, "Let it read this"), h("button", { type: "button", onclick: actions.drawn }, "Back to drawn examples")));
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      actions.typed(this.text.value, this.queries.value);
    });
    return h("details", { class: "menu own" }, h("summary", {}, "Your own text"), form);
  }

  /** N can be dragged as well as chosen. */
  private drag(): void {
    this.stops.addEventListener("pointermove", (event) => {
      if (event.buttons !== 1) return;
      const root = this.element.getRootNode() as ShadowRoot;
      const under = root.elementFromPoint(event.clientX, event.clientY)?.closest<HTMLButtonElement>(".passes button");
      if (under && !under.disabled && under.getAttribute("aria-pressed") !== "true") under.click();
    });
  }

  update(scene: Scene, setup: Setup): void {
    const { catalogue, live } = setup;
    const choose = live && catalogue.length > 1;
    this.model.hidden = !choose;
    this.title.hidden = choose;
    say(this.title, scene.model.title);
    this.title.title = scene.task.title;
    const here: [string, string][] = catalogue.some((one) => one.name === scene.model.name) ? [] : [[scene.model.name, scene.model.title]];
    if (choose) options(this.model, [...here, ...catalogue.map((one): [string, string] => [one.name, one.title])], scene.model.name);
    const typed = isTyped(scene);
    say(this.number, typed ? "Your text" : `Example ${scene.source.example + 1}${scene.source.examples ? ` of ${scene.source.examples}` : ""}`);
    this.chosen.hidden = !scene.source.chosen;
    for (const button of this.example.querySelectorAll<HTMLButtonElement>("button:not(.term)")) button.hidden = live ? typed : setup.sleeps < 2;
    this.form.hidden = !live;
    this.theme.hidden = setup.themed;
    const filled = `${scene.digest} ${scene.task.input}`;
    if (filled !== this.filled && !this.form.open) {
      this.filled = filled;
      this.text.value = scene.task.input ?? "";
      this.queries.value = scene.task.queries ?? "";
    }
    say(this.help, [scene.task.typing_help, scene.task.query_form ? `Questions: ${scene.task.query_form}.` : ""].filter(Boolean).join(" "));
    this.passes(scene, setup);
    attribute(this.teacher, "aria-pressed", String(setup.teacher));
    this.compare.hidden = setup.others.length < 2;
    options(this.other, setup.others.map((name, i) => [String(i), name]), String(setup.other));
  }

  private passes(scene: Scene, { ready, offered }: Setup): void {
    if (this.stops.childElementCount !== offered.length || this.stops.textContent !== offered.join("")) {
      this.stops.replaceChildren(...offered.map((n) => h("button", { type: "button", onclick: () => this.actions.passes(n) }, String(n))));
    }
    const [low, high] = scene.model.trained_passes ?? [scene.sleep.passes, scene.sleep.passes];
    offered.forEach((n, i) => {
      const button = this.stops.children[i] as HTMLButtonElement;
      attribute(button, "aria-pressed", String(n === scene.sleep.passes));
      flag(button, "trained", n >= low && n <= high);
      flag(button, "later", !ready.includes(n));
    });
    say(this.note, trainedNote(scene));
  }

  /** Say what is wrong at the form, or nothing; close it when all went well. */
  wrong(problem: string, field = ""): void {
    say(this.problem, problem);
    attribute(this.text, "aria-invalid", problem && field !== "queries" ? "true" : undefined);
    attribute(this.queries, "aria-invalid", problem && field === "queries" ? "true" : undefined);
    this.form.open = problem !== "";
  }
}
