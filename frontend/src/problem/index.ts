// The problem as a picture: what the text says, and the path that a question follows.

import { isRight, rightFrom } from "../data/answers";
import { h, say, term } from "../dom";
import { card, type Actions, type Frame, type Panel } from "../panel";
import type { Scene } from "../data/scene";
import { boundaryName, plural, saidWords, turnsRight } from "../words";
import { CellsView } from "./cells";
import { GraphView } from "./graph";
import { PassageView } from "./passage";
import { SentencesView } from "./sentences";

/** One way to draw a problem, again where something has changed; `told` is what the model answers to the chosen question. */
export interface View {
  element: HTMLElement | SVGElement;
  update(frame: Frame, told: Told): void;
}

export interface Told {
  query: number;
  text: string;
  right: boolean;
}

const VIEWS: { [kind: string]: new (scene: Scene, actions: Actions) => View } = {
  graph: GraphView, cells: CellsView, sentences: SentencesView, passage: PassageView,
};

export class ProblemPanel implements Panel {
  readonly element: HTMLElement;
  private readonly view: View;
  private readonly line = h("p", { class: "asked" });
  private readonly question = h("b", {});
  private readonly said = h("span", {});
  private readonly when = h("span", { class: "muted" });
  private asked = "";
  private drawn = "";

  static fits(scene: Scene): boolean {
    return scene.picture.kind in VIEWS && scene.queries.length > 0;
  }

  constructor(scene: Scene, actions: Actions) {
    this.view = new VIEWS[scene.picture.kind](scene, actions);
    this.line.append(this.question, " ", this.said, " ", this.when);
    const notes = [scene.picture.note, scene.task.unlike_training].filter(Boolean).join(" ");
    const note = notes ? h("p", { class: "note" }, notes) : undefined;
    const lead = `${scene.task.summary ?? scene.task.title}. What is `;
    this.element = card(`problem kind-${scene.picture.kind}`, "The problem", [lead, term("forgotten"), " is dashed."], this.line, this.view.element, note);
  }

  update(frame: Frame): void {
    const { scene, boundary, state } = frame;
    const hovered = frame.lit?.query;
    const query = hovered ?? state.query;
    const told = { query, text: scene.said[boundary]?.[query] ?? "", right: isRight(scene, boundary, query) };
    const key = `${boundary} ${query}`;
    if (key !== this.asked) {
      this.asked = key;
      say(this.question, `${scene.queries[query].label}?`);
      say(this.said, saidWords(scene, boundary, query));
      this.said.className = told.right ? "good" : "bad";
      const steps = scene.queries[query].path.length;
      const from = rightFrom(scene, query);
      const now = told.right ? "right for good from" : "turns right at";
      const since = from > boundary ? `${now} ${boundaryName(scene, from)}` : turnsRight(scene, query);
      say(this.when, `${steps > 1 ? `${plural(steps, "step")} · ` : ""}${since}`);
    }
    const look = `${key} ${[...(frame.lit?.items ?? [])]} ${frame.paint?.key}`;
    if (look !== this.drawn) this.view.update(frame, told);
    this.drawn = look;
  }
}
