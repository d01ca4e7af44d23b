// What every panel is: a titled card that draws one frame after another.

import type { Answer, Ask, Progress } from "./asks";
import type { Theme } from "./colours";
import { flag, h } from "./dom";
import { exportMenu } from "./export/menu";
import type { Lit } from "./data/focus";
import type { Focus, State } from "./data/place";
import type { Scene } from "./data/scene";
import type { Numbers } from "./matrix";

/** Everything that a panel draws from. */
export interface Frame {
  scene: Scene;
  /** Where in this scene we are; next to another one it has the same moment. */
  state: State;
  boundary: number;
  lit?: Lit;
  theme: Theme;
  /** What the chosen lens lays over the panels. */
  paint?: Paint;
  /** What the model answers is hidden for now. */
  veiled?: boolean;
}

/** What a lens lays over the panels: weights from -1 (against) to 1 (for); what is left out stays. */
export interface Paint {
  /** Changes whenever anything in it does. */
  key: string;
  tokens?: ArrayLike<number>;
  heads?(layer: number, head: number): { weight: number; text: string } | undefined;
  /** `[key][value]` of a head, with the value of the strongest colour. */
  cells?(layer: number, head: number): { values: Numbers; limit: number; name: string } | undefined;
  boundaries?: ArrayLike<number>;
  /** Takes the place of the answers. */
  answers?: { title: string; element: HTMLElement };
}

/** The weight of an item of the problem: the sum over its tokens, the largest item 1; NaN without paint. */
export function itemWeights({ scene, paint }: Frame): number[] {
  const { tokens } = paint ?? {};
  if (!tokens) return [];
  const sums = scene.picture.items.map(({ tokens: [a, b] }) => {
    let sum = 0;
    for (let token = a; token < b; token++) sum += tokens[token] || 0;
    return sum;
  });
  const most = Math.max(1e-9, ...sums.map(Math.abs));
  return sums.map((sum) => sum / most);
}

/** Colour an element by a weight, or take the colour away. */
export function tint(element: HTMLElement | SVGElement, weight: number | undefined): void {
  const painted = weight !== undefined && weight === weight;
  flag(element, "for", painted && weight > 0);
  flag(element, "against", painted && weight < 0);
  if (painted) element.style.setProperty("--weight", `${Math.round(62 * Math.min(1, Math.abs(weight)))}%`);
}

export interface Panel {
  element: HTMLElement;
  update(frame: Frame): void;
  destroy?(): void;
}

/** What panels may do. */
export interface Actions {
  set(part: Partial<State>): void;
  /** Hover, and end of hovering. */
  hover(focus: Focus | undefined): void;
  /** Pick, or give up what is picked already. */
  pick(focus: Focus): void;
  choose(query: number): void;
  /** Ask the host for S of a head; undefined where no host answers. */
  fetchStates?: (layer: number, head: number) => void;
  /** Ask the host something else about this scene; undefined where no host answers. */
  ask?: (ask: Ask, answered: (answer: Answer) => void, progressed?: (progress: Progress) => void, kind?: string) => void;
  /** Give up an ask of this kind. */
  drop(what: string): void;
  /** Draw again: a lens has learnt something. */
  redraw(): void;
  /** Give a head of the sleep with this digest to this one: the patch of the lens "cause". */
  give(digest: string, head: { layer: number; head: number }): void;
  /** Ask for a scene and put it next to this one. */
  beside(ask: Ask): void;
  /** Where plotly.js is, if the host has it. */
  plotly?: string;
  /** Show answers that are hidden, at this moment alone. */
  reveal(): void;
}

/** The handlers of whatever draws an item of the problem: hovering lights it up, a click picks it. */
export function onItem(actions: Actions, item: number) {
  return {
    onpointerenter: () => actions.hover({ kind: "item", item }),
    onpointerleave: () => actions.hover(undefined),
    onclick: () => actions.pick({ kind: "item", item }),
  };
}

let serial = 0;

/** A card with a heading, a sentence below it, and a menu that saves its picture. */
export function card(name: string, title: string, lead: (Node | string)[], ...children: (Node | string | undefined)[]): HTMLElement {
  const id = `h${++serial}`;
  const element = h("section", { class: `card ${name}`, "aria-labelledby": id });
  element.append(
    h("header", {}, h("h2", { id }, title), exportMenu(element, name)),
    h("p", { class: "lead" }, ...lead),
  );
  for (const child of children) if (child !== undefined) element.append(child);
  return element;
}
