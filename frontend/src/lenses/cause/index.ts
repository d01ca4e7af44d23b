// The lens "cause": change S, read on, and see what becomes of the answers.

import { h } from "../../dom";
import type { Actions, Frame } from "../../panel";
import type { Scene } from "../../data/scene";
import type { Lens } from "../index";

export class CauseLens implements Lens {
  readonly element = h("div", { class: "cause" });

  constructor(_scene: Scene, _actions: Actions) {
    this.element.append(h("p", { class: "note" }, "Change a part of S, let the model read on, and compare its answers."));
  }

  update(_frame: Frame): void {}
}
