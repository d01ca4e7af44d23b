// Three lenses on the same place: what memory does, what causes an answer, what an answer is owed to.

import { attribute, h } from "../dom";
import { LENSES, type LensName } from "../data/place";
import type { Scene } from "../data/scene";
import type { Actions, Frame, Paint } from "../panel";
import { CauseLens } from "./cause";
import { CreditLens } from "./credit";
import { MemoryLens } from "./memory";

/** What one lens shows: an element below the heads and, if it likes, one above them, and colours on the panels. */
export interface Lens {
  element: HTMLElement;
  /** The conclusion and the form, above the heads. */
  above?: HTMLElement;
  update(frame: Frame): void;
  /** Colours for the other panels, from what is known by now. */
  paint?(frame: Frame): Paint | undefined;
  destroy?(): void;
}

const ALL: { [name in LensName]: [title: string, tip: string, make: new (scene: Scene, actions: Actions) => Lens] } = {
  memory: ["Memory", "What the sleep writes into S, and what lasts", MemoryLens],
  cause: ["Cause", "Change S and see which answers change", CauseLens],
  credit: ["Credit", "What one answer is owed to: tokens, passes, heads", CreditLens],
};

/** The tabs, and the lens that is chosen; a lens is made when it is first looked through. */
export class Lenses {
  readonly tabs: HTMLElement;
  readonly above = h("div", { class: "above" });
  readonly body = h("div", { class: "lens", role: "tabpanel" });
  private readonly buttons: HTMLButtonElement[];
  private readonly made = new Map<LensName, Lens>();

  constructor(private readonly scene: Scene, private readonly actions: Actions) {
    this.buttons = LENSES.map((name) => h("button", {
      type: "button", role: "tab", "data-lens": name, "data-tip": ALL[name][1], onclick: () => actions.set({ lens: name }),
    }, ALL[name][0]));
    this.tabs = h("div", { class: "segments lenses", role: "tablist", "aria-label": "Lens", onkeydown: (event) => this.key(event) }, ...this.buttons);
  }

  /** Arrows move between the tabs, as everywhere; elsewhere they move the scrubber. */
  private key(event: KeyboardEvent): void {
    const now = this.buttons.indexOf(event.target as HTMLButtonElement), last = LENSES.length - 1;
    const to: { [key: string]: number } = { ArrowLeft: now === 0 ? last : now - 1, ArrowRight: now === last ? 0 : now + 1, Home: 0, End: last };
    if (now < 0 || !(event.key in to)) return;
    event.preventDefault();
    event.stopPropagation();
    this.buttons[to[event.key]].focus();
    this.actions.set({ lens: LENSES[to[event.key]] });
  }

  private lens(name: LensName): Lens {
    let found = this.made.get(name);
    if (!found) this.made.set(name, (found = new ALL[name][2](this.scene, this.actions)));
    return found;
  }

  /** The frame with the colours of the chosen lens. */
  update(frame: Frame): Frame {
    const { lens: name } = frame.state;
    LENSES.forEach((one, i) => {
      attribute(this.buttons[i], "aria-selected", String(one === name));
      this.buttons[i].tabIndex = one === name ? 0 : -1;
    });
    const lens = this.lens(name);
    if (this.body.firstChild !== lens.element) {
      this.body.replaceChildren(lens.element);
      this.above.replaceChildren(...(lens.above ? [lens.above] : []));
    }
    attribute(this.body, "aria-label", ALL[name][0]);
    lens.update(frame);
    return { ...frame, paint: lens.paint?.(frame) };
  }

  destroy(): void {
    for (const lens of this.made.values()) lens.destroy?.();
  }
}
