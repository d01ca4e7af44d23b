// One scene of the story at a time: a sentence, a prediction to make, and what came true.

import { attribute, flag, h, say } from "../dom";
import { exploreAddress, placeOf, type Story, type StoryScene } from "./data";

interface CardActions {
  to(scene: number): void;
  choose(choice: number): void;
  back(): void;
  leave(): void;
}

interface CardState {
  /** Index of the scene; -1 before the story has begun. */
  at: number;
  /** The choice that was made in each scene. */
  made: (number | undefined)[];
  /** Whether the reader has gone somewhere else. */
  away: boolean;
}

const COUNTS: { [count: number]: string } = { 3: "three", 4: "four", 5: "five", 6: "six", 7: "seven", 8: "eight" };

/** The letter of a choice, which is also its key. */
export function letter(choice: number): string {
  return String.fromCharCode(65 + choice);
}

/** "Right.", or what would have been. */
export function verdict(scene: StoryScene, choice: number): string {
  return choice === scene.right ? "Right." : `Not quite: ${letter(scene.right)} is right.`;
}

export class Card {
  readonly element = h("section", { class: "storycard", "aria-label": "The story" });
  private readonly steps: HTMLButtonElement[];
  private readonly body = h("div", { class: "scene" });
  private readonly title = h("h2", { tabindex: -1 });
  private readonly sentence = h("p", { class: "tale" });
  private readonly question = h("p", { class: "question" });
  private readonly choices = h("div", { class: "choices", role: "group" });
  private readonly outcome = h("div", { class: "outcome", role: "status" });
  private readonly verdict = h("b", {});
  private readonly why = h("span", {});
  private readonly links = h("p", { class: "links" });
  private readonly back: HTMLButtonElement;
  private readonly previous: HTMLButtonElement;
  private readonly next: HTMLButtonElement;
  private shown = -2;

  constructor(private readonly story: Story, private readonly actions: CardActions) {
    const button = (words: string, look: string, onclick: () => void) => h("button", { type: "button", class: look, onclick }, words);
    this.steps = story.scenes.map(({ title }, i) =>
      h("button", { type: "button", onclick: () => actions.to(i) }, h("span", { class: "circle", "aria-hidden": "true" }, String(i + 1)), h("span", {}, title)));
    this.back = button("Back to this scene", "quiet", actions.back);
    this.previous = button("Previous", "quiet", () => actions.to(this.shown - 1));
    this.next = button("Next", "primary", () => (this.shown + 1 < story.scenes.length ? actions.to(this.shown + 1) : actions.leave()));
    this.outcome.append(h("p", {}, this.verdict, " ", this.why), this.links);
    this.body.append(
      h("div", { class: "told" }, this.title, this.sentence),
      h("div", { class: "guess" }, this.question, this.choices, this.outcome),
      h("div", { class: "row turn" }, this.previous, this.next, this.back));
    this.element.append(h("div", { class: "row contents" }, h("span", { class: "label" }, `The story in ${COUNTS[story.scenes.length] ?? story.scenes.length} scenes`),
      h("ol", { class: "steps" }, ...this.steps.map((step) => h("li", {}, step)))), this.body);
  }

  update({ at, made, away }: CardState): void {
    this.steps.forEach((step, i) => {
      attribute(step, "aria-current", i === at ? "step" : undefined);
      flag(step, "done", made[i] !== undefined);
    });
    this.body.hidden = at < 0;
    if (at < 0) return void (this.shown = at);
    const scene = this.story.scenes[at], choice = made[at];
    if (this.shown !== at) this.fill(scene, at);
    [...this.choices.children].forEach((one, i) => {
      const button = one as HTMLButtonElement;
      attribute(button, "aria-pressed", String(i === choice));
      attribute(button, "aria-disabled", choice === undefined ? undefined : "true");
      flag(button, "right", choice !== undefined && i === scene.right);
      flag(button, "wrong", i === choice && i !== scene.right);
    });
    this.outcome.hidden = choice === undefined;
    say(this.verdict, choice === undefined ? "" : verdict(scene, choice));
    this.verdict.className = choice === scene.right ? "good" : "bad";
    say(this.why, choice === undefined ? "" : scene.why);
    this.back.hidden = !away;
  }

  private fill(scene: StoryScene, at: number): void {
    const moved = this.shown >= 0;
    this.shown = at;
    say(this.title, scene.title);
    say(this.sentence, scene.sentence);
    say(this.question, scene.question);
    attribute(this.choices, "aria-label", scene.question);
    this.choices.replaceChildren(...scene.choices.map((words, i) =>
      h("button", { type: "button", class: "choice", onclick: () => this.actions.choose(i) }, h("span", { class: "circle", "aria-hidden": "true" }, letter(i)), words)));
    this.previous.hidden = at === 0;
    say(this.next, at + 1 < this.story.scenes.length ? "Next" : "Explore on your own");
    const { site } = this.story;
    this.links.replaceChildren(...(site === undefined ? [] : [h("a", { href: exploreAddress(site, placeOf(scene, true)) }, "Open this moment in Explore")]));
    if (scene.page && site !== undefined) this.links.append(h("a", { href: `${site}${scene.page}` }, "See the recorded result"));
    else if (scene.evidence) this.links.append(h("span", {}, `Recorded: ${scene.evidence}`));
    if (moved) this.title.focus({ preventScroll: true });
  }
}
