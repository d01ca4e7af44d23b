// A running text: where the words of an answer were first said, and where they are asked for.

import { fateOf, fateOfTokens } from "../data/cache";
import { h, say } from "../dom";
import { itemWeights, onItem, tint, type Actions, type Frame } from "../panel";
import type { Scene } from "../data/scene";
import type { Told, View } from "./index";

const AROUND = 70;
const BLANK = /\u2423/g;

/** The text of tokens, marks and blanks as blanks. */
export function words(scene: Scene, start: number, stop: number): string {
  const marks = new Set(scene.marks);
  let text = "";
  for (let token = Math.max(0, start); token < Math.min(stop, scene.symbols.length); token++) {
    if (scene.valid[token]) text += marks.has(token) ? " " : scene.symbols[token];
  }
  return text.replace(BLANK, " ");
}

export class PassageView implements View {
  readonly element = h("div", { class: "passages" });
  private readonly places = h("div", {});
  private readonly said = h("mark", {});
  private cards: { element: HTMLElement; state: HTMLElement; item: number }[] = [];
  private asked?: HTMLElement;
  private drawn = -1;

  constructor(private readonly scene: Scene, private readonly actions: Actions) {
    this.element.append(this.places);
  }

  private draw(query: number): void {
    const { scene } = this;
    this.drawn = query;
    const { path, tokens: [start] } = scene.queries[query];
    this.cards = path.map((item) => {
      const [a, b] = scene.picture.items[item].tokens;
      const state = h("small", {});
      const element = h("figure", onItem(this.actions, item), h("figcaption", {}, "First said ", state), h("p", {}, `… ${words(scene, a - AROUND, a)}`, h("mark", {}, words(scene, a, b)), `${words(scene, b, b + AROUND)} …`));
      return { element, state, item };
    });
    this.asked = h("small", {});
    const figure = h("figure", { class: "question" }, h("figcaption", {}, "Asked for ", this.asked),
      h("p", {}, `… ${words(scene, start - AROUND, start)}`, this.said));
    this.places.replaceChildren(...this.cards.map((card) => card.element), figure);
  }

  update(frame: Frame, { query, text, right }: Told): void {
    const { scene, boundary, lit } = frame, weights = itemWeights(frame);
    if (this.drawn !== query) this.draw(query);
    const window = (token: number) => 1 + (scene.entries.find(({ start, stop }) => start <= token && token < stop)?.window ?? 0);
    const state = { coming: "not read yet", next: "next", cached: "in the cache", forgotten: "forgotten" };
    for (const { element, state: small, item } of this.cards) {
      const one = fateOf(scene, item, boundary);
      element.className = `${one}${lit?.items.has(item) ? " lit" : ""}`;
      tint(element, weights[item]);
      say(small, `in window ${window(scene.picture.items[item].tokens[0])}, ${state[one]}`);
    }
    const [start, stop] = scene.queries[query].tokens;
    if (this.asked) say(this.asked, `in window ${window(start)}, ${state[fateOfTokens(scene, start, stop, boundary)]}`);
    say(this.said, `${text.replace(BLANK, " ")} ${right ? "✓" : "✗"}`);
    this.said.className = right ? "good" : "bad";
  }
}
