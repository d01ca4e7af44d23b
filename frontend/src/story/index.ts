// Plays the story: moves the theatre to each scene, and keeps the answers back until one has been predicted.

import type { Address } from "../data/place";
import { attribute, flag, h, quiet, say } from "../dom";
import { exploreAddress, isAt, letter, placeOf, sceneOf, verdict, type Story, type StoryScene } from "./data";
import { still } from "./flow";

interface Stagehand {
  /** Move the theatre to a place; `play` walks there where it can. */
  go(place: Address, play: boolean): void;
  /** Draw again: what may be seen has changed. */
  redraw(): void;
}

const COUNTS: { [count: number]: string } = { 3: "three", 4: "four", 5: "five", 6: "six", 7: "seven", 8: "eight" };

/** One scene at a time: a sentence, a prediction to make, and what came true. */
export class StoryPlayer {
  readonly element = h("section", { class: "storycard", "aria-label": "The story" });
  /** Index of the scene, -1 before the story has begun; and the scene that the card shows. */
  private at = -1;
  private shown = -1;
  /** The choice that was made in each scene. */
  private readonly made: (number | undefined)[];
  /** Whether the reader has gone somewhere else. */
  private away = false;
  private readonly steps: HTMLButtonElement[];
  private readonly title = h("h2", { tabindex: -1 });
  private readonly sentence = h("p", { class: "tale" });
  private readonly question = h("p", { class: "question" });
  private readonly choices = h("div", { class: "choices", role: "group" });
  private readonly verdict = h("b", {});
  private readonly why = h("span", {});
  private readonly links = h("p", { class: "links" });
  private readonly outcome = h("div", { class: "outcome", role: "status" }, h("p", {}, this.verdict, " ", this.why), this.links);
  private readonly back = quiet("Back to this scene", () => this.to(this.at));
  private readonly previous = quiet("Previous", () => this.turn(this.at - 1));
  private readonly next = h("button", { type: "button", class: "primary", onclick: () => (this.at + 1 < this.made.length ? this.turn(this.at + 1) : this.to(-1)) });
  private readonly body = h("div", { class: "scene" },
    h("div", { class: "told" }, this.title, this.sentence),
    h("div", { class: "guess" }, this.question, this.choices, this.outcome),
    h("div", { class: "row turn" }, this.previous, this.next, this.back));

  constructor(private readonly story: Story, private readonly hand: Stagehand, private readonly root: HTMLElement) {
    const { scenes } = story;
    this.made = scenes.map(() => undefined);
    this.steps = scenes.map(({ title }, i) =>
      h("button", { type: "button", onclick: () => this.turn(i) }, h("span", { class: "circle", "aria-hidden": "true" }, String(i + 1)), h("span", {}, title)));
    this.element.append(h("div", { class: "row contents" }, h("span", { class: "label" }, `The story in ${COUNTS[scenes.length] ?? scenes.length} scenes`),
      h("ol", { class: "steps" }, ...this.steps.map((step) => h("li", {}, step)))), this.body);
    this.update();
  }

  /** A prediction is waiting: what the model answers is kept back. */
  get open(): boolean {
    return this.at >= 0 && this.made[this.at] === undefined;
  }

  /** The scene for the page's address, counted from 1. */
  get address(): number | undefined {
    return this.at < 0 ? undefined : this.at + 1;
  }

  /** Begin where an address says. */
  begin(address: Address): void {
    const scene = sceneOf(address, this.made.length);
    if (scene >= 0) this.to(scene);
  }

  /** Go to a scene that the reader chose, and bring it into view. */
  private turn(scene: number): void {
    this.to(scene);
    const { top } = this.root.getBoundingClientRect();
    if (top < -1 || top > 200) this.root.scrollIntoView({ behavior: still() ? "auto" : "smooth" });
  }

  private to(scene: number): void {
    this.at = scene;
    this.away = false;
    this.play(false);
  }

  private choose(choice: number): void {
    if (!this.open || choice >= this.story.scenes[this.at].choices.length) return;
    this.made[this.at] = choice;
    this.play(true);
  }

  private play(walk: boolean): void {
    this.update();
    if (this.at >= 0) this.hand.go(placeOf(this.story.scenes[this.at], !this.open), walk);
    this.hand.redraw();
  }

  /** Hear where the theatre is now; `settled` once it no longer plays. */
  heard(address: Address, settled: boolean): void {
    if (this.at < 0 || !settled) return;
    this.away = !isAt(address, placeOf(this.story.scenes[this.at], !this.open));
    this.back.hidden = !this.away;
  }

  /** Letters choose, n and p turn the page; returns whether the key meant the story. */
  key(key: string): boolean {
    if (this.at < 0) return false;
    if (key === "n") this.turn(Math.min(this.at + 1, this.made.length - 1));
    else if (key === "p") this.turn(Math.max(0, this.at - 1));
    else if (/^[a-d]$/.test(key) && this.open) this.choose(key.charCodeAt(0) - 97);
    else return false;
    return true;
  }

  private update(): void {
    const { at, made } = this, scene: StoryScene | undefined = this.story.scenes[at];
    this.steps.forEach((step, i) => {
      attribute(step, "aria-current", i === at ? "step" : undefined);
      flag(step, "done", made[i] !== undefined);
    });
    this.body.hidden = !scene;
    if (this.shown !== at && scene) this.fill(scene, this.shown >= 0);
    this.shown = at;
    if (!scene) return;
    const choice = made[at], chosen = choice !== undefined;
    [...this.choices.children].forEach((button, i) => {
      attribute(button, "aria-pressed", String(i === choice));
      attribute(button, "aria-disabled", chosen ? "true" : undefined);
      flag(button, "right", chosen && i === scene.right);
      flag(button, "wrong", i === choice && i !== scene.right);
    });
    this.outcome.hidden = !chosen;
    say(this.verdict, chosen ? verdict(scene, choice) : "");
    this.verdict.className = choice === scene.right ? "good" : "bad";
    say(this.why, chosen ? scene.why : "");
    this.back.hidden = !this.away;
  }

  private fill(scene: StoryScene, moved: boolean): void {
    const { at, story: { site } } = this;
    say(this.title, scene.title);
    say(this.sentence, scene.sentence);
    say(this.question, scene.question);
    attribute(this.choices, "aria-label", scene.question);
    this.choices.replaceChildren(...scene.choices.map((words, i) =>
      h("button", { type: "button", class: "choice", onclick: () => this.choose(i) }, h("span", { class: "circle", "aria-hidden": "true" }, letter(i)), words)));
    this.previous.hidden = at === 0;
    say(this.next, at + 1 < this.made.length ? "Next" : "Explore on your own");
    this.links.replaceChildren(...(site === undefined ? [] : [h("a", { href: exploreAddress(site, placeOf(scene, true)) }, "Open this moment in Explore")]));
    if (scene.page && site !== undefined) this.links.append(h("a", { href: `${site}${scene.page}` }, "See the recorded result"));
    else if (scene.evidence) this.links.append(h("span", {}, `Recorded: ${scene.evidence}`));
    if (moved) this.title.focus({ preventScroll: true });
  }
}
