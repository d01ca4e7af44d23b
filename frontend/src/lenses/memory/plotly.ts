// Figures that the host has drawn, put on the page by plotly.js, which is loaded when one is first shown.

import { attribute, flag, h, onWidth } from "../../dom";

type Layout = { [name: string]: any };

interface Figure {
  data: unknown[];
  layout: Layout;
}

/** One figure of an instrument at every boundary. */
export interface Plot {
  label: string;
  figures: Figure[];
  /** Which figure each boundary has; -1 where it has not been drawn. */
  at: number[];
  /** The part of the layout that follows the boundary, if there is one. */
  moving: Layout[] | null;
}

/** What the host says of one instrument at one head: two sentences, and its figures. */
export interface Result {
  shows: string;
  omits: string;
  plots: Plot[];
}

/** Two answers about the same place: what the first had not drawn is taken from the second. */
export function together(first: Result, second: Result): Result {
  const plots = first.plots.map((plot, i): Plot => {
    const other = second.plots[i], figures = [...plot.figures], moved = new Map<number, number>();
    const at = plot.at.map((index, boundary) => {
      const there = other.at[boundary];
      if (index >= 0 || there < 0) return index;
      if (!moved.has(there)) moved.set(there, figures.push(other.figures[there]) - 1);
      return moved.get(there)!;
    });
    return { ...plot, figures, at };
  });
  return { ...first, plots };
}

interface Plotly {
  react(element: HTMLElement, data: unknown, layout: Layout, config: object): Promise<unknown>;
  relayout(element: HTMLElement, layout: Layout): Promise<unknown>;
  toImage(element: HTMLElement, options: object): Promise<string>;
  purge(element: HTMLElement): void;
}

/** Panels next to one another need as many pixels at least; on a narrower screen they are scrolled. */
const LEAST_WIDTH = 520;
const CONFIG = { displayModeBar: false, responsive: false };

const page = globalThis as unknown as { Plotly?: Plotly };

/** Whether figures can be drawn here: the host has the library, or the page has loaded it. */
export function drawable(address = ""): boolean {
  return Boolean(address || page.Plotly);
}

let loading: Promise<Plotly> | undefined;

/** The library, from the address that the host gives; a page may have loaded it before. */
export function library(address: string): Promise<Plotly> {
  if (page.Plotly) return Promise.resolve(page.Plotly);
  loading ??= new Promise<Plotly>((done, failed) => {
    const script = h("script", { src: address, async: true });
    script.onload = () => (page.Plotly ? done(page.Plotly) : failed(new Error("plotly.js could not be started")));
    script.onerror = () => failed(new Error("plotly.js could not be loaded"));
    document.head.append(script);
  });
  loading.catch(() => (loading = undefined));
  return loading;
}

/** Plotly puts its style rules into the document's head, which a shadow root cannot see. */
function adoptStyles(root: Node): void {
  if (!(root instanceof ShadowRoot)) return;
  const sheet = new CSSStyleSheet();
  for (const style of document.querySelectorAll<HTMLStyleElement>('style[id^="plotly.js-style"]')) {
    for (const rule of style.sheet?.cssRules ?? []) sheet.insertRule(rule.cssText);
  }
  root.adoptedStyleSheets = [...root.adoptedStyleSheets, sheet];
}

/** A place for one plot: it is redrawn only where the figure at the boundary is another one. */
export class PlotView {
  readonly element = h("div", { class: "plot", role: "figure" });
  readonly room = h("div", { class: "plot-room" }, this.element);
  private plot?: Plot;
  private boundary = 0;
  private drawn?: Figure;
  private layout: Layout = {};
  private width = 0;
  private queue: Promise<unknown> = Promise.resolve();
  private readonly stop: () => void;

  constructor(private readonly plotly: Plotly) {
    this.stop = onWidth(this.room, (width) => {
      this.width = Math.max(width, LEAST_WIDTH);
      this.element.style.width = `${this.width}px`;
      attribute(this.room, "tabindex", width < LEAST_WIDTH ? "0" : undefined); // scrolled with the keyboard, too
      this.drawn = undefined;
      this.draw();
    });
  }

  show(plot: Plot, boundary: number): void {
    if (plot === this.plot && boundary === this.boundary) return;
    this.plot = plot;
    this.boundary = boundary;
    attribute(this.element, "aria-label", plot.label);
    this.draw();
  }

  private draw(): void {
    this.queue = this.queue.then(() => this.put(), () => this.put());
  }

  private async put(): Promise<void> {
    const { plot, boundary, element, width } = this;
    const figure = plot?.figures[plot.at[boundary]];
    flag(element, "dimmed", Boolean(plot) && !figure);
    if (!plot || !figure || !width) return;
    const layout: Layout = { ...structuredClone({ ...figure.layout, ...plot.moving?.[boundary] }), width };
    if (figure === this.drawn) {
      const changed = Object.keys(plot.moving?.[boundary] ?? {}).filter((name) => JSON.stringify(layout[name]) !== JSON.stringify(this.layout[name]));
      if (changed.length) await this.plotly.relayout(element, Object.fromEntries(changed.map((name) => [name, layout[name]])));
    } else {
      const first = !element.firstChild;
      element.style.height = `${figure.layout.height}px`;
      await this.plotly.react(element, structuredClone(figure.data), layout, CONFIG);
      if (first) adoptStyles(element.getRootNode());
    }
    this.drawn = figure;
    this.layout = layout;
    attribute(element, "data-drawn", String(boundary));
  }

  async image(format: "svg" | "png"): Promise<Blob> {
    const scale = format === "png" ? 2 : 1;
    const address = await this.plotly.toImage(this.element, { format, width: this.width, height: this.layout.height, scale });
    const [about, text] = [address.slice(5, address.indexOf(",")), address.slice(address.indexOf(",") + 1)];
    const bytes = about.endsWith(";base64") ? Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0)) : decodeURIComponent(text);
    return new Blob([bytes], { type: about.split(";")[0] });
  }

  destroy(): void {
    this.stop();
    this.plotly.purge(this.element);
  }
}
