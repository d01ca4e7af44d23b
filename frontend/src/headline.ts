// What has just happened, in words: the conclusion first; and where in the cycle we are.

import { attribute, flag, h, say, term } from "./dom";
import type { Frame } from "./panel";
import type { Scene } from "./data/scene";
import { eyebrow, headline, news, story } from "./words";

/** The cycle of a sleeping model, as four steps. */
const PHASES: [string, (scene: Scene) => (string | Node)[]][] = [
  ["read", () => ["Takes in a ", term("window"), " of text"]],
  ["sleep", (scene) => [term("sleep", "Sleeps"), `: ${scene.sleep.passes === 1 ? "1 pass" : `${scene.sleep.passes} passes`} over it`]],
  ["forget", () => [term("forgotten", "Forgets"), " the text, keeps ", term("S")]],
  ["wake", () => [term("awake", "Wakes"), " and answers"]],
];

/** Which step of the cycle a boundary is in. */
export function phase(scene: Scene, boundary: number): string {
  const [entry, pass] = scene.boundaries[boundary];
  if (boundary === 0) return "read";
  if (pass === 0) return "forget";
  return scene.entries[entry].awake ? "wake" : "sleep";
}

export class Cycle {
  readonly element: HTMLElement;
  private readonly steps: [string, HTMLElement][];
  private readonly dots = h("span", { class: "dots", "aria-hidden": "true" });

  constructor(scene: Scene) {
    this.steps = PHASES.map(([name, words], i) => [name, h("li", {}, h("span", { class: "circle", "aria-hidden": "true" }, String(i + 1)), h("span", {}, ...words(scene)))]);
    const passes = Math.min(scene.sleep.passes, 16);
    this.dots.append(...Array.from({ length: passes }, () => h("i", {})));
    this.steps[1][1].append(this.dots);
    this.element = h("ol", { class: "cycle", "aria-label": "What the model does, over and over" }, ...this.steps.map(([, element]) => element));
  }

  update({ scene, boundary }: Frame): void {
    const now = phase(scene, boundary);
    for (const [name, element] of this.steps) {
      flag(element, "now", name === now);
      attribute(element, "aria-current", name === now ? "step" : undefined);
    }
    const pass = now === "sleep" ? scene.boundaries[boundary][1] : now === "read" ? 0 : scene.sleep.passes;
    [...this.dots.children].forEach((dot, i) => flag(dot, "done", i < pass));
  }
}

export class Headline {
  private readonly where = h("p", { class: "eyebrow" });
  private readonly what = h("h1", {});
  private readonly more = h("p", { class: "story" });
  private readonly new = h("strong", {});
  private readonly rest = h("span", {});
  readonly element = h("div", { class: "headline" }, this.where, this.what, this.more);

  /** What tells this sleep from another one next to it. */
  title = "";

  /** `quiet` leaves out what the answers are, for a teacher who asks first. */
  constructor(private readonly quiet: boolean) {
    this.more.append(this.new, " ", this.rest);
  }

  update({ scene, boundary, veiled }: Frame): void {
    const quiet = this.quiet || veiled;
    say(this.where, `${this.title ? `${this.title} · ` : ""}${eyebrow(scene, boundary)}`);
    say(this.what, quiet ? story(scene, boundary) : headline(scene, boundary));
    say(this.new, quiet ? "" : news(scene, boundary));
    say(this.rest, quiet ? "" : story(scene, boundary));
  }
}
