// Each token's share of the chosen head, from the scene alone.

import { attribute, h, onWidth, s, say } from "../../dom";
import type { Actions, Frame } from "../../panel";
import { block, type Scene } from "../../data/scene";
import { percent, tokenName } from "../../words";

const HEIGHT = 120, TOP = 6, LETTERS = 22;

export class Written {
  readonly element: HTMLElement;
  private readonly svg = s("svg", { class: "bars", role: "img" });
  private readonly note = h("p", { class: "note" });
  private readonly stop: () => void;
  private readonly tokens: number[];
  private bars: SVGRectElement[] = [];
  private width = 0;
  private frame?: Frame;
  private seen = "";

  constructor(private readonly scene: Scene, actions: Actions) {
    this.tokens = scene.symbols.map((_, token) => token).filter((token) => scene.valid[token]);
    this.element = h("figure", { class: "written" }, h("figcaption", {}, "What part of this head each token has written; below the line, what points against the rest."), this.svg, this.note);
    const of = (event: Event) => (event.target as Element).closest("[data-bar]")?.getAttribute("data-bar");
    this.svg.addEventListener("pointerover", (event) => {
      const token = of(event);
      actions.hover(token ? { kind: "token", token: Number(token) } : undefined);
    });
    this.svg.addEventListener("pointerleave", () => actions.hover(undefined));
    this.svg.addEventListener("click", (event) => {
      const token = of(event);
      if (token) actions.pick({ kind: "token", token: Number(token) });
    });
    this.stop = onWidth(this.element, (width) => {
      this.width = width;
      this.build();
      if (this.frame) this.update(this.frame);
    });
  }

  destroy(): void {
    this.stop();
  }

  csv(layer: number, head: number): string {
    const { scene } = this;
    const rows = ["window,sleep_pass,token,symbol,share"];
    scene.boundaries.forEach(([entry, pass], boundary) => {
      const shares = block(scene, "share", boundary, layer, head);
      for (const token of this.tokens) {
        const share = shares?.[token] ?? NaN;
        if (Number.isFinite(share)) rows.push(`${entry},${pass},${token},"${scene.symbols[token].replaceAll('"', '""')}",${share.toPrecision(4)}`);
      }
    });
    return `${rows.join("\n")}\n`;
  }

  private build(): void {
    const { scene, tokens } = this;
    const step = this.width / Math.max(1, tokens.length);
    this.seen = "";
    attribute(this.svg, "viewBox", `0 0 ${this.width} ${HEIGHT}`);
    this.bars = tokens.map((token, i) => s("rect", { x: (i * step).toFixed(2), width: Math.max(step - 1, 0.6).toFixed(2), "data-bar": token }));
    const names = step < 7 ? [] : tokens.map((token, i) => s("text", { x: ((i + 0.5) * step).toFixed(1), y: HEIGHT - 6, "text-anchor": "middle" }, scene.symbols[token].slice(0, Math.max(1, Math.floor(step / 6)))));
    // where a window begins; the bar behind is the whole column, so that small bars can be pointed at
    const columns = tokens.map((token, i) => s("rect", { class: "column", x: (i * step).toFixed(2), y: 0, width: step.toFixed(2), height: HEIGHT, "data-bar": token }));
    const edges = tokens.flatMap((token, i) => (i && scene.entries.some((entry) => entry.start === token) ? [s("line", { class: "edge-of-window", x1: (i * step).toFixed(1), x2: (i * step).toFixed(1), y1: 0, y2: HEIGHT - LETTERS })] : []));
    this.svg.replaceChildren(...edges, ...this.bars, ...names, ...columns);
  }

  update(frame: Frame): void {
    this.frame = frame;
    const { scene, tokens } = this;
    const { boundary, state, lit } = frame;
    const key = `${boundary} ${state.layer} ${state.head} ${scene.patches.size} ${lit ? [...lit.tokens.keys()].join() : ""}`;
    if (key === this.seen || !this.width) return;
    this.seen = key;
    const shares = block(scene, "share", boundary, state.layer, state.head);
    const value = (token: number) => (Number.isFinite(shares?.[token]) ? shares![token] : 0);
    const high = Math.max(0.01, ...tokens.map(value)), low = Math.max(0, -Math.min(0, ...tokens.map(value)));
    const scale = (HEIGHT - LETTERS - TOP) / (high + low), zero = TOP + high * scale;
    tokens.forEach((token, i) => {
      const share = value(token);
      attribute(this.bars[i], "y", (share > 0 ? zero - share * scale : zero).toFixed(1));
      attribute(this.bars[i], "height", Math.max(Math.abs(share) * scale, 0).toFixed(1));
      attribute(this.bars[i], "class", lit?.tokens.has(token) ? "lit" : share < 0 ? "against" : undefined);
    });
    const largest = [...tokens].sort((a, b) => value(b) - value(a)).slice(0, 3).filter((token) => value(token) > 0);
    const words = !shares ? "The shares of this head are not in this scene." : !largest.length ? "Nothing has been written yet."
      : `The largest shares: ${largest.map((token) => `${tokenName(scene, token)} ${percent(value(token))}`).join(", ")}.`;
    say(this.note, words);
    attribute(this.svg, "aria-label", words);
  }
}
