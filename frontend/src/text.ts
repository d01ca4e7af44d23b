// The text: its windows, what the KV cache holds, what is forgotten, and what each token has written.

import { fate, type Fate } from "./data/cache";
import { flag, h, say, term } from "./dom";
import { betaOf, shareOf, sharesOfAll } from "./data/focus";
import { card, tint, type Actions, type Frame, type Panel } from "./panel";
import type { Scene } from "./data/scene";
import { plural, tokenWords } from "./words";

const BLANK = "\u2423";
const MOST_BARS = 1500;

const FATES: { [fate in Fate]: string } = {
  coming: "to come", next: "next", cached: "in the cache", forgotten: "forgotten",
};

/** Token ranges that stand together: an item, a query with its answer, else one token. */
export function groups(scene: Scene): [number, number][] {
  const kind = scene.picture.kind;
  const items = kind === "cells" || kind === "passage" ? [] : scene.picture.items.map((item) => item.tokens);
  const queries = kind === "passage" ? [] : scene.queries.map((query) => query.tokens);
  const found: [number, number][] = [];
  let at = 0;
  for (const [start, stop] of [...items, ...queries].sort((a, b) => a[0] - b[0])) {
    if (start < at || stop > scene.symbols.length) continue;
    for (; at < start; at++) found.push([at, at + 1]);
    found.push([start, stop]);
    at = stop;
  }
  for (; at < scene.symbols.length; at++) found.push([at, at + 1]);
  return found;
}

/** The looks of a token that never change. */
export function role(scene: Scene, token: number): string {
  if (!scene.valid[token]) return "pad";
  if (scene.answer_of[token] >= 0) return "answer";
  if (scene.marks.includes(token)) return "mark";
  const { kind, items } = scene.picture;
  const bit = kind === "cells" && items.some(({ tokens: [a, b] }) => a <= token && token < b);
  return bit ? (scene.symbols[token] === "1" ? "bit on" : "bit") : "";
}

interface Block {
  element: HTMLElement;
  state: HTMLElement;
  entries: number[];
  now?: string;
}

export class TextPanel implements Panel {
  readonly element: HTMLElement;
  private readonly tokens: HTMLElement[] = [];
  private readonly blocks: Block[] = [];
  private readonly widths: number[] = [];
  private readonly scroller = h("div", { class: "windows", tabindex: 0, role: "group", "aria-label": "The windows of the text" });
  private readonly note = h("p", { class: "note", "aria-live": "off" });
  private lit: number[] = [];
  private seen = -1;
  private painted?: string;
  private revealed?: Block;

  constructor(private readonly scene: Scene, private readonly actions: Actions) {
    const windows = new Map<number, number[]>();
    scene.entries.forEach(({ window }, entry) => windows.set(window, [...(windows.get(window) ?? []), entry]));
    const all = groups(scene);
    for (const entries of windows.values()) this.blocks.push(this.block(entries, all));
    this.scroller.append(...this.blocks.map((block) => block.element));
    this.listen();
    const several = windows.size > 1 ? `It is read in ${plural(windows.size, "window")}. ` : "";
    this.element = card("text", "The text", [several, "Boxed ", term("token", "tokens"), " are in the ", term("cache"), ", grey ones ",
      term("forgotten"), "; a bar is a token’s ", term("share", "share of S"), ".",
      ...(scene.valid.every(Boolean) ? [] : [" A dot is ", term("padding"), "."])], this.scroller, this.note);
  }

  private block(entries: number[], all: [number, number][]): Block {
    const { start, stop, window, awake } = this.scene.entries[entries[0]];
    const line = h("div", { class: this.scene.picture.kind === "passage" ? "line running" : "line" });
    for (const [a, b] of all) {
      if (a >= stop || b <= start) continue;
      const chip = h("span", { class: "chip" });
      for (let token = Math.max(a, start); token < Math.min(b, stop); token++) chip.append(this.token(token));
      line.append(chip);
    }
    const padding = this.scene.valid.slice(start, stop).some(Boolean) ? "" : " (padding only)";
    const state = h("span", { class: "state" });
    const head = h("h3", {}, `Window ${window + 1}${padding} `, h("small", {}, awake && entries.length === 1 ? "questions" : ""), state);
    return { element: h("div", { class: "window" }, head, line), state, entries };
  }

  private token(token: number): HTMLElement {
    const padding = !this.scene.valid[token];
    const text = padding ? "·" : this.scene.symbols[token].replace(BLANK, this.scene.picture.kind === "passage" ? " " : BLANK);
    const element = h("span", { class: `t ${role(this.scene, token)}`, "data-token": token }, text);
    if (!padding) {
      element.setAttribute("role", "button");
      element.setAttribute("tabindex", token === 0 ? "0" : "-1");
      if (!text.trim()) element.setAttribute("aria-label", "blank");
    }
    this.tokens[token] = element;
    return element;
  }

  private listen(): void {
    const of = (event: Event) => {
      const found = (event.target as Element).closest?.<HTMLElement>("[data-token]");
      return found ? Number(found.dataset.token) : -1;
    };
    const hover = (event: Event) => {
      const token = of(event);
      this.actions.hover(token >= 0 && this.scene.valid[token] ? { kind: "token", token } : undefined);
    };
    this.scroller.addEventListener("pointerover", hover);
    this.scroller.addEventListener("pointerleave", () => this.actions.hover(undefined));
    this.scroller.addEventListener("focusin", hover);
    this.scroller.addEventListener("focusout", () => this.actions.hover(undefined));
    const pick = (event: Event) => {
      const token = of(event);
      if (token >= 0 && this.scene.valid[token]) this.actions.pick({ kind: "token", token });
    };
    this.scroller.addEventListener("click", pick);
    this.scroller.addEventListener("keydown", (event) => {
      const token = of(event);
      const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      if (token < 0) return;
      if (event.key === "Enter") pick(event);
      else if (step) {
        let next = token + step;
        while (this.tokens[next] && !this.scene.valid[next]) next += step;
        if (!this.tokens[next]) return;
        this.tokens[token].tabIndex = -1;
        this.tokens[next].tabIndex = 0;
        this.tokens[next].focus();
      } else return;
      event.preventDefault();
      event.stopPropagation(); // arrows move the scrubber elsewhere
    });
  }

  update(frame: Frame): void {
    const { boundary, lit, state } = frame;
    if (boundary !== this.seen) {
      this.fates(boundary);
      this.bars(boundary);
      this.seen = boundary;
    }
    const painted = frame.paint?.tokens && frame.paint.key;
    if (painted !== this.painted) {
      this.painted = painted;
      this.tokens.forEach((element, token) => tint(element, frame.paint?.tokens?.[token]));
    }
    const now = lit ? [...lit.tokens.keys()] : [];
    for (const token of this.lit) if (!lit?.tokens.has(token)) flag(this.tokens[token], "lit", false);
    for (const token of now) {
      flag(this.tokens[token], "lit", true);
      this.tokens[token].style.setProperty("--lit", String(lit!.tokens.get(token)));
    }
    this.lit = now;
    const focus = state.hover ?? state.picked;
    say(this.note, focus?.kind === "token" ? this.words(frame, focus.token) : this.scene.picture.reading);
  }

  private words({ boundary, state }: Frame, token: number): string {
    const beta = betaOf(this.scene, boundary, state.layer, state.head, token);
    const share = shareOf(this.scene, boundary, state.layer, state.head, [token]);
    return tokenWords(this.scene, token, beta, share, sharesOfAll(this.scene, boundary)?.[token] ?? NaN);
  }

  private fates(boundary: number): void {
    const [now, pass] = this.scene.boundaries[boundary];
    for (const block of this.blocks) {
      const fates = block.entries.map((entry) => fate(this.scene, entry, boundary));
      const order: Fate[] = ["cached", "next", "forgotten", "coming"];
      const one = order.find((name) => fates.includes(name))!;
      const reading = block.entries.includes(now) && pass > 0;
      const entry = this.scene.entries[now];
      const words = !reading ? FATES[one] : entry.awake ? "being read, awake" : `asleep, pass ${pass} of ${entry.passes}`;
      if (block.now === words) continue;
      block.now = words;
      block.element.className = `window ${one}${reading ? " reading" : ""}`;
      say(block.state, words);
      if ((reading || one === "next") && this.revealed !== block) {
        this.revealed = block;
        this.reveal(block.element);
      }
    }
  }

  /** Scroll the panel, never the page. */
  private reveal(element: HTMLElement): void {
    const { scroller } = this;
    if (scroller.scrollHeight <= scroller.clientHeight) return;
    scroller.scrollTop = element.offsetTop - scroller.offsetTop - 8;
  }

  private bars(boundary: number): void {
    if (this.tokens.length > MOST_BARS) return;
    const shares = sharesOfAll(this.scene, boundary);
    let most = 0.02;
    for (const share of shares ?? []) most = Math.max(most, share);
    this.tokens.forEach((element, token) => {
      const share = Math.max(0, shares?.[token] ?? 0);
      const relative = Math.round((50 * share) / most) * 2; // in steps, so that few styles change
      const width = relative < 6 ? 0 : relative;
      if (this.widths[token] === width) return;
      this.widths[token] = width;
      element.style.setProperty("--share", `${width}%`);
    });
  }
}
