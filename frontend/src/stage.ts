// One scene on the screen: the sentence and the four panels.

import { AnswersPanel } from "./answers";
import { flag, h, say } from "./dom";
import { Headline } from "./headline";
import { Lenses } from "./lenses";
import { MemoryPanel } from "./memory";
import type { Actions, Frame, Panel } from "./panel";
import { ProblemPanel } from "./problem";
import type { Scene } from "./data/scene";
import { TextPanel } from "./text";

export class Stage {
  readonly element: HTMLElement;
  private readonly panels: Panel[];
  private readonly headline: Headline;
  private readonly lenses: Lenses;
  private readonly waiting = h("p", { class: "waiting", role: "status" });

  constructor(readonly scene: Scene, actions: Actions, hide: string[]) {
    this.headline = new Headline(hide.includes("answers"));
    const text = new TextPanel(scene, actions);
    const problem = ProblemPanel.fits(scene) ? new ProblemPanel(scene, actions) : undefined;
    this.lenses = new Lenses(scene, actions);
    const memory = new MemoryPanel(scene, actions);
    const answers = scene.queries.length ? new AnswersPanel(scene, actions) : undefined;
    const named: [string, Panel | undefined][] = [["text", text], ["problem", problem], ["memory", memory], ["answers", answers]];
    const shown = named.filter(([name, panel]) => panel && !hide.includes(name)) as [string, Panel][];
    this.panels = shown.map(([, panel]) => panel);
    const of = (...names: string[]) => shown.flatMap(([name, panel]) => (names.includes(name) ? [panel.element] : []));
    const lensed = of("memory").length > 0;
    const rest = [...of("memory"), ...(lensed ? [h("section", { class: "card lens-card", "aria-label": "Lens" }, this.lenses.body)] : []), ...of("answers")];
    this.element = h("div", { class: "stage" }, this.headline.element, this.waiting,
      h("div", { class: "panels" }, h("div", { class: "column first" }, ...of("text", "problem")),
        h("div", { class: "column rest" }, ...(lensed ? [h("div", { class: "lensed" }, this.lenses.tabs, this.lenses.above)] : []), ...rest)));
  }

  name(title: string): void {
    this.headline.title = title;
  }

  /** Draw; returns the frame with what the lens lays over it. Next to another scene there is no lens. */
  update(given: Frame, aside = false): Frame {
    const frame = aside ? given : this.lenses.update(given);
    flag(this.element, "aside", aside);
    this.headline.update(frame);
    for (const panel of this.panels) panel.update(frame);
    return frame;
  }

  /** Dim what is out of date, and say what is being waited for. */
  wait(words: string): void {
    flag(this.element, "dimmed", words !== "");
    say(this.waiting, words);
  }

  destroy(): void {
    for (const panel of this.panels) panel.destroy?.();
    this.lenses.destroy();
    this.element.remove();
  }
}
