// One scene on the screen: the sentence and the four panels.

import { AnswersPanel } from "./answers";
import { flag, h, say } from "./dom";
import { Headline } from "./headline";
import { MemoryPanel } from "./memory";
import type { Actions, Frame, Panel } from "./panel";
import { ProblemPanel } from "./problem";
import type { Scene } from "./data/scene";
import { TextPanel } from "./text";

export class Stage {
  readonly element: HTMLElement;
  private readonly panels: Panel[];
  private readonly headline: Headline;
  private readonly waiting = h("p", { class: "waiting", role: "status" });

  constructor(readonly scene: Scene, actions: Actions, hide: string[]) {
    this.headline = new Headline(hide.includes("answers"));
    const text = new TextPanel(scene, actions);
    const problem = ProblemPanel.fits(scene) ? new ProblemPanel(scene, actions) : undefined;
    const memory = new MemoryPanel(scene, actions);
    const answers = scene.queries.length ? new AnswersPanel(scene, actions) : undefined;
    const named: [string, Panel | undefined][] = [["text", text], ["problem", problem], ["memory", memory], ["answers", answers]];
    const shown = named.filter(([name, panel]) => panel && !hide.includes(name)) as [string, Panel][];
    this.panels = shown.map(([, panel]) => panel);
    const column = (look: string, ...names: string[]) => h("div", { class: `column ${look}` }, ...shown.filter(([name]) => names.includes(name)).map(([, panel]) => panel.element));
    this.element = h("div", { class: "stage" }, this.headline.element, this.waiting,
      h("div", { class: "panels" }, column("first", "text", "problem"), column("rest", "memory", "answers")));
  }

  name(title: string): void {
    this.headline.title = title;
  }

  update(frame: Frame): void {
    this.headline.update(frame);
    for (const panel of this.panels) panel.update(frame);
  }

  /** Dim what is out of date, and say what is being waited for. */
  wait(words: string): void {
    flag(this.element, "dimmed", words !== "");
    say(this.waiting, words);
  }

  destroy(): void {
    for (const panel of this.panels) panel.destroy?.();
    this.element.remove();
  }
}
