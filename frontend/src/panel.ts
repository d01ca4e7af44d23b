// What every panel is: a titled card that draws one frame after another.

import type { Answer, Ask, Progress } from "./asks";
import type { Theme } from "./colours";
import { h } from "./dom";
import { exportMenu } from "./export/menu";
import type { Lit } from "./data/focus";
import type { Focus, State } from "./data/place";
import type { Named, Scene } from "./data/scene";

type Numbers = Named["data"];

/** Everything that a panel draws from. */
export interface Frame {
  scene: Scene;
  state: State;
  /** The boundary of this scene; differs from the state's where two sleeps are compared. */
  boundary: number;
  lit?: Lit;
  theme: Theme;
  /** What the chosen lens lays over the panels. */
  paint?: Paint;
  /** What the model answers is hidden for now. */
  veiled?: boolean;
}

/** Colours of a lens, each from -1 (against) to 1 (for); whatever is left out stays as it is. */
export interface Paint {
  tokens?: ArrayLike<number>;
  /** One number per head. */
  heads?(layer: number, head: number): number;
  /** `[key][value]` of a head, with the value of the strongest colour. */
  cells?(layer: number, head: number): { values: Numbers; limit: number; name: string } | undefined;
  boundaries?: ArrayLike<number>;
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
  ask?: (ask: Ask, answered: (answer: Answer) => void, progressed?: (progress: Progress) => void) => void;
  /** Where plotly.js is, if the host has it. */
  plotly?: string;
  /** Give up an ask of this kind. */
  drop(what: string): void;
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
