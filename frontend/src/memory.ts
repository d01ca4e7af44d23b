// The memory: every head small, one large, all on one scale; and how the large one changes.

import { FONT, inks, tone, type Theme } from "./colours";
import { attribute, flag, h, onWidth, options, say, term } from "./dom";
import { written, writersOf } from "./data/focus";
import { limit, overview, Painter, shade, shown, sized, type Numbers } from "./matrix";
import { card, type Actions, type Frame, type Panel } from "./panel";
import { SHOWS } from "./data/place";
import { number, type Scene } from "./data/scene";
import { cellWords, percent, SHOW_WORDS, signed, tokenName, WAITING } from "./words";

const MOST_SMALL = 64;
/** What is dragged: a head of a sleep. */
const HEAD = "application/x-head";
/** Room for the numbers of keys, left of the large head, as in the style sheet. */
const AXIS = 34;

export class MemoryPanel implements Panel {
  readonly element: HTMLElement;
  private readonly large = h("canvas", { class: "large", tabindex: 0, role: "img" });
  private readonly small = h("canvas", { class: "small", role: "img" });
  private readonly shows: HTMLButtonElement[];
  private readonly layer = h("select", { "aria-label": "Layer", onchange: () => this.actions.set({ layer: Number(this.layer.value) }) });
  private readonly head = h("select", { "aria-label": "Head", onchange: () => this.actions.set({ head: Number(this.head.value) }) });
  private readonly note = h("p", { class: "note" });
  private readonly what = h("p", { class: "what" });
  private readonly scale = new ScaleBar("");
  private readonly heat = new ScaleBar("heat");
  private readonly one: HTMLElement;
  private readonly painter = new Painter();
  private readonly figure = h("div", { class: "heads" });
  private readonly stop: () => void;
  private readonly byHead: boolean;
  private frame?: Frame;
  private width = 0;
  private asked = "";

  constructor(private readonly scene: Scene, private readonly actions: Actions) {
    this.byHead = !scene.arrays.has("fast_weight") || scene.layers.length * scene.heads > MOST_SMALL;
    this.shows = SHOWS.map((show) => h("button", {
      type: "button", onclick: () => actions.set({ show }), "data-tip": SHOW_WORDS[show][1],
    }, SHOW_WORDS[show][0]));
    const bar = h("div", { class: "row controls" },
      h("div", { class: "segments", role: "group", "aria-label": "What is shown" }, ...this.shows),
      h("span", { class: "row" }, h("label", {}, "Layer ", this.layer), h("label", {}, "Head ", this.head)));
    const axed = h("div", { class: "axed" }, this.large, axis(scene.key, "key", "down"), axis(scene.value, "value", "across"));
    this.one = h("figure", { class: "one" }, axed, h("figcaption", {}, this.what, this.scale.element));
    const rows = scene.layers.length > 1 ? [", a row per ", term("layer")] : [];
    const all = h("figcaption", {}, "All ", term("head", "heads"), ...rows, h("span", { class: "hint" }, ". Choose one to enlarge it."));
    if (this.byHead) all.append(this.heat.element);
    this.figure.append(this.one, h("figure", { class: "all" }, this.small, all));
    this.element = card("memory", "Its memory", [term("S"), " is all that remains when a window is forgotten. Each ", term("pass"), " rewrites it."],
      bar, this.note, this.figure);
    this.listen();
    this.stop = onWidth(this.figure, (width) => {
      this.width = width;
      if (this.frame) this.paint(this.frame);
    });
  }

  destroy(): void {
    this.stop();
  }

  private listen(): void {
    const { scene, actions, large, small } = this;
    const cell = (event: PointerEvent) => {
      const box = large.getBoundingClientRect();
      const value = Math.floor(((event.clientX - box.left) / box.width) * scene.value);
      const key = Math.floor(((event.clientY - box.top) / box.height) * scene.key);
      const inside = key >= 0 && key < scene.key && value >= 0 && value < scene.value && scene.arrays.has("fast_weight");
      return inside ? ({ kind: "cell", key, value } as const) : undefined;
    };
    large.addEventListener("pointermove", (event) => actions.hover(cell(event)));
    large.addEventListener("pointerleave", () => actions.hover(undefined));
    large.addEventListener("click", (event) => {
      const focus = cell(event as PointerEvent);
      if (focus) actions.pick(focus);
    });
    small.addEventListener("click", (event) => {
      const found = this.headAt(event);
      if (found) actions.set(found);
    });
    this.drags(small, (event) => this.headAt(event));
    this.drags(large, () => this.frame && { layer: this.frame.state.layer, head: this.frame.state.head });
  }

  private headAt(event: MouseEvent): { layer: number; head: number } | undefined {
    const { heads, layers } = this.scene;
    const box = this.small.getBoundingClientRect();
    const columns = this.grid().columns, total = layers.length * heads;
    const across = Math.floor(((event.clientX - box.left) / box.width) * columns);
    const down = Math.floor(((event.clientY - box.top) / box.height) * Math.ceil(total / columns));
    const index = down * columns + across;
    return index < total ? { layer: Math.floor(index / heads), head: index % heads } : undefined;
  }

  /** A head can be dragged onto another sleep's heads: its S is given to that sleep. */
  private drags(canvas: HTMLCanvasElement, head: (event: DragEvent) => { layer: number; head: number } | undefined): void {
    canvas.draggable = true;
    canvas.addEventListener("dragstart", (event) => {
      const found = head(event);
      if (found) event.dataTransfer?.setData(HEAD, JSON.stringify({ ...found, digest: this.scene.digest }));
    });
    canvas.addEventListener("dragover", (event) => event.dataTransfer?.types.includes(HEAD) && event.preventDefault());
    canvas.addEventListener("drop", (event) => {
      const data = event.dataTransfer?.getData(HEAD);
      if (!data) return;
      event.preventDefault();
      const { digest, ...found } = JSON.parse(data);
      if (digest !== this.scene.digest) this.actions.give(digest, found);
    });
  }

  /** Whether the small heads stand to the right of the large one. */
  private beside(): boolean {
    return this.width >= 430 || this.scene.layers.length * this.scene.heads <= 6;
  }

  /** Where the heads stand: a row per layer, or several rows where there is one layer only. */
  private grid(): { columns: number; size: number; gap: number; large: number } {
    const { layers, heads } = this.scene;
    const wide = this.width >= 430;
    const part = wide ? 0.54 : !this.beside() ? 1 : layers.length > 1 ? 0.6 : 0.75;
    const large = Math.floor(Math.min(this.width * part, 340));
    const room = this.beside() ? this.width - large - (wide ? 24 : 14) : this.width;
    const columns = layers.length > 1 ? heads : !this.beside() ? heads : wide ? Math.ceil(Math.sqrt(heads)) : 1;
    const rows = Math.ceil((layers.length * heads) / columns);
    const gap = columns > 8 ? 2 : 8;
    const most = this.byHead ? 16 : (large + gap) / (this.beside() ? rows : 1);
    const size = Math.floor(Math.min((room + gap) / columns, most));
    return { columns, size: Math.max(size, 8), gap, large };
  }

  update(frame: Frame): void {
    this.frame = frame;
    const { state } = frame;
    this.shows.forEach((button, i) => attribute(button, "aria-pressed", String(SHOWS[i] === state.show)));
    options(this.layer, frame.scene.layers.map((layer, i) => [String(i), String(layer)]), String(state.layer));
    options(this.head, Array.from({ length: frame.scene.heads }, (_, i) => [String(i), String(i)]), String(state.head));
    if (this.width) this.paint(frame);
    say(this.note, this.sentence(frame));
  }

  private paint(frame: Frame): void {
    flag(this.figure, "beside", this.beside());
    flag(this.figure, "narrow", this.width < 430);
    this.one.style.width = `${this.grid().large}px`;
    this.paintLarge(frame);
    this.paintSmall(frame);
  }

  private paintLarge({ boundary, state, lit, theme, paint }: Frame): void {
    const { scene } = this;
    const { layer, head, show } = state;
    const size = this.grid().large - AXIS, height = Math.round((size * Math.min(scene.key, 2 * scene.value)) / scene.value);
    const context = sized(this.large, size, height);
    const laid = paint?.cells?.(layer, head);
    const values = laid?.values ?? shown(scene, boundary, layer, head, show);
    const end = laid?.limit ?? limit(scene, layer, show);
    const focus = state.hover ?? state.picked;
    const ghost = !laid && focus && focus.kind !== "cell" ? lit?.write(layer, head) : undefined;
    const name = `Layer ${scene.layers[layer]}, head ${head}`;
    this.scale.element.hidden = !values;
    if (!values) {
      this.missing(context, size, height, layer, head, theme);
      say(this.what, name);
      attribute(this.large, "aria-label", `${name}: not in this file`);
      return;
    }
    this.painter.paint(context, values, scene.key, scene.value, end, theme, 0, 0, size, height, ghost);
    if (focus?.kind === "cell") this.frameCell(context, focus.key, focus.value, size, height, theme);
    this.scale.set(signed(-end), signed(end));
    if (laid) say(this.what, `${name}: ${laid.name}`);
    else say(this.what, ghost ? `${name}: what the marked tokens write` : `${name}: ${SHOW_WORDS[show][1].toLowerCase()}`.replace("what s holds", "what S holds").replace("in s", "in S"));
    attribute(this.large, "aria-label", `${name}, ${scene.key} keys by ${scene.value} values, from ${signed(-end)} to ${signed(end)}. ${this.note.textContent ?? ""}`);
  }

  /** Where S is too large to send at once: ask for this head, or say how big it is. */
  private missing(context: CanvasRenderingContext2D, size: number, height: number, layer: number, head: number, theme: Theme): void {
    const ink = inks(theme).text;
    context.strokeStyle = ink;
    context.globalAlpha = 0.35;
    context.strokeRect(0.5, 0.5, size - 1, height - 1);
    context.globalAlpha = 1;
    context.fillStyle = ink;
    context.font = `13px ${FONT}`;
    context.textAlign = "center";
    const words = this.actions.fetchStates ? [WAITING.states] : [`${this.scene.key} × ${this.scene.value} numbers,`, "left out of this file"];
    words.forEach((line, i) => context.fillText(line, size / 2, height / 2 + 18 * i));
    const key = `${layer} ${head}`;
    if (this.asked !== key) this.actions.fetchStates?.(layer, head);
    this.asked = key;
  }

  private frameCell(context: CanvasRenderingContext2D, key: number, value: number, size: number, height: number, theme: Theme): void {
    const w = size / this.scene.value, hh = height / this.scene.key;
    context.strokeStyle = inks(theme).accent;
    context.lineWidth = 2;
    context.strokeRect(value * w + 0.5, key * hh + 0.5, Math.max(w - 1, 3), Math.max(hh - 1, 3));
  }

  private paintSmall({ boundary, state, lit, theme, paint }: Frame): void {
    const { scene } = this;
    const { columns, size, gap } = this.grid();
    const total = scene.layers.length * scene.heads, rows = Math.ceil(total / columns);
    const context = sized(this.small, columns * size - gap, rows * size - gap);
    const most = this.byHead ? this.most(state.show) : 1;
    this.heat.set("0", state.show === "state" ? `size ${signed(most)}` : `moved by ${percent(most)}`);
    const focus = state.hover ?? state.picked;
    for (let index = 0; index < total; index++) {
      const layer = Math.floor(index / scene.heads), head = index % scene.heads;
      const x = (index % columns) * size, y = Math.floor(index / columns) * size, side = size - gap;
      if (this.byHead) {
        context.fillStyle = shade(overview(scene, boundary, layer, head, state.show), most);
        context.fillRect(x, y, side, side);
      } else {
        const ghost: Numbers | undefined = focus && focus.kind !== "cell" ? lit?.write(layer, head) : undefined;
        this.painter.paint(context, shown(scene, boundary, layer, head, state.show)!, scene.key, scene.value,
          limit(scene, layer, state.show), theme, x, y, side, side, ghost);
      }
      const share = (focus?.kind !== "cell" && lit?.share(layer, head)) || NaN;
      const laid = paint?.heads?.(layer, head);
      if (laid) this.lay(context, laid.weight, laid.text, x, y, side, theme);
      else if (share === share && side > 40) this.label(context, percent(share), x, y + side, theme);
      if (layer !== state.layer || head !== state.head) continue;
      context.strokeStyle = inks(theme).accent;
      context.lineWidth = side > 30 ? 3 : 2;
      context.strokeRect(x + 1, y + 1, side - 2, side - 2);
    }
    attribute(this.small, "aria-label", `All ${total} heads small; layer ${scene.layers[state.layer]}, head ${state.head} is enlarged`);
  }

  /** A weight over a small head: a wash of colour, and its number where there is room. */
  private lay(context: CanvasRenderingContext2D, weight: number, text: string, x: number, y: number, side: number, theme: Theme): void {
    context.fillStyle = tone(theme, weight);
    context.globalAlpha = 0.25 + 0.6 * Math.min(1, Math.abs(weight));
    context.fillRect(x, y, side, side);
    context.globalAlpha = 1;
    if (side > 40) this.label(context, text, x, y + side, theme);
  }

  private label(context: CanvasRenderingContext2D, text: string, x: number, bottom: number, theme: Theme): void {
    const ink = inks(theme);
    context.font = `600 12px ${FONT}`;
    context.textAlign = "left";
    const width = context.measureText(text).width + 8;
    context.fillStyle = ink.paper;
    context.fillRect(x + 3, bottom - 20, width, 17);
    context.fillStyle = ink.text;
    context.fillText(text, x + 7, bottom - 7);
  }

  private most(show: string): number {
    const values = this.scene.arrays.get(show === "state" ? "norm" : "relative_change")!.data;
    let most = 0;
    for (const value of values) if (Number.isFinite(value)) most = Math.max(most, value);
    return most || 1;
  }

  private sentence(frame: Frame): string {
    const { scene } = this;
    const { boundary, state } = frame;
    const focus = state.hover ?? state.picked;
    const at = [boundary, state.layer, state.head];
    if (focus?.kind === "cell") {
      const amount = shown(scene, boundary, state.layer, state.head, state.show)?.[focus.key * scene.value + focus.value] ?? NaN;
      const writers = [...writersOf(scene, state, focus.key, focus.value).keys()].slice(0, 3);
      return cellWords(focus.key, focus.value, amount, writers.map((token) => tokenName(scene, token)));
    }
    const tokens = frame.lit ? [...frame.lit.tokens.keys()] : [];
    if (tokens.length && !written(scene, boundary, state.layer, state.head, tokens) && scene.arrays.has("beta")) {
      return "The marked tokens are not read in this pass, so they write nothing now.";
    }
    const change = number(scene, "relative_change", ...at), rank = number(scene, "effective_rank", ...at);
    const parts = [`Size ${number(scene, "norm", ...at).toFixed(2)}`];
    if (rank === rank) parts.push(`about ${rank.toFixed(1)} independent directions`);
    if (Number.isFinite(change)) parts.push(`moved by ${percent(change)} in this pass`);
    return `Head ${state.head}: ${parts.join(", ")}.`;
  }
}

/** Names and some numbers of the rows or columns of the large head. */
function axis(count: number, name: string, way: "down" | "across"): HTMLElement {
  const step = Math.max(1, 2 ** Math.round(Math.log2(count / 4)));
  const at = (n: number) => `${way === "down" ? "top" : "left"}:${((100 * (n + 0.5)) / count).toFixed(2)}%`;
  const ticks = Array.from({ length: Math.ceil(count / step) }, (_, i) => i * step);
  return h("span", { class: `axis ${way}`, "aria-hidden": "true" }, h("b", {}, name),
    ...ticks.map((n) => h("i", { style: at(n) }, String(n))));
}

/** A colour scale with its two ends. */
class ScaleBar {
  private readonly low = h("span", {});
  private readonly high = h("span", {});
  readonly element: HTMLElement;

  constructor(look: string) {
    this.element = h("span", { class: `scalebar ${look}` }, this.low, h("i", { "aria-hidden": "true" }), this.high);
  }

  set(low: string, high: string): void {
    say(this.low, low);
    say(this.high, high);
  }
}
