// The lens "credit": what one answer is owed to.

import { h } from "../../dom";
import type { Actions, Frame } from "../../panel";
import type { Scene } from "../../data/scene";
import type { Lens } from "../index";

export class CreditLens implements Lens {
  readonly element = h("div", { class: "credit" });

  constructor(_scene: Scene, _actions: Actions) {
    this.element.append(h("p", { class: "note" }, "Divide one answer among tokens, passes, heads or entries of S."));
  }

  update(_frame: Frame): void {}
}
