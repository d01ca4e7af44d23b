// Matrices on a canvas: one pixel of an image per cell, blown up without smoothing.

import { diverging, pixel, SEQUENTIAL, type Theme } from "./colours";
import type { Show } from "./data/place";
import { block, number, type Named, type Scene } from "./data/scene";

export type Numbers = Named["data"];

/** What a head shows, `[key][value]`: S, its change in the last pass, or its change over the sleep. */
export function shown(scene: Scene, boundary: number, layer: number, head: number, show: Show): Numbers | undefined {
  const now = block(scene, "fast_weight", boundary, layer, head);
  const pass = scene.boundaries[boundary][1];
  if (!now || show === "state") return now;
  const back = pass === 0 ? 0 : show === "change" ? 1 : pass;
  const before = block(scene, "fast_weight", boundary - back, layer, head)!;
  const found = new Float32Array(now.length);
  for (let i = 0; i < found.length; i++) found[i] = now[i] - before[i];
  return found;
}

const limits = new WeakMap<Scene, Map<string, number>>();

/** The largest absolute value that a layer shows at any boundary, so that one scale fits all. */
export function limit(scene: Scene, layer: number, show: Show): number {
  let known = limits.get(scene);
  if (!known) limits.set(scene, (known = new Map()));
  const name = `${layer} ${show} ${scene.patches.size}`;
  let found = known.get(name);
  if (found === undefined) {
    found = 0;
    for (let boundary = 0; boundary < scene.boundaries.length; boundary++) {
      for (let head = 0; head < scene.heads; head++) {
        const values = shown(scene, boundary, layer, head, show);
        for (let i = 0; values && i < values.length; i++) found = Math.max(found, Math.abs(values[i]));
      }
    }
    known.set(name, (found ||= 1));
  }
  return found;
}

/** What the overview of all heads shows where S itself is too large to send: a number per head. */
export function overview(scene: Scene, boundary: number, layer: number, head: number, show: Show): number {
  return number(scene, show === "state" ? "norm" : "relative_change", boundary, layer, head);
}

/** Paints matrices; keeps the small image that it scales up. */
export class Painter {
  private image?: ImageData;
  private readonly small = document.createElement("canvas");

  /** Paint `[row][column]` into a rectangle of the canvas; a ghost lies over its faint ground. */
  paint(context: CanvasRenderingContext2D, values: Numbers, rows: number, columns: number, limit: number, theme: Theme,
    x: number, y: number, width: number, height: number, ghost?: Numbers): void {
    if (this.small.width !== columns || this.small.height !== rows || !this.image) {
      this.small.width = columns;
      this.small.height = rows;
      this.image = new ImageData(columns, rows);
    }
    const pixels = new Uint32Array(this.image.data.buffer), scale = diverging(theme);
    for (let i = 0; i < pixels.length; i++) {
      pixels[i] = pixel(scale, ghost ? ghost[i] + 0.12 * values[i] : values[i], limit);
    }
    this.small.getContext("2d")!.putImageData(this.image, 0, 0);
    context.imageSmoothingEnabled = false;
    context.drawImage(this.small, x, y, width, height);
  }
}

/** The colour of one number from 0 to limit, for an overview. */
export function shade(value: number, limit: number): string {
  const one = pixel(SEQUENTIAL, (2 * value) / limit - 1, 1);
  return `rgb(${one & 255} ${(one >> 8) & 255} ${(one >> 16) & 255})`;
}

/** Give a canvas its size in CSS pixels, sharp on any screen; returns its context. */
export function sized(canvas: HTMLCanvasElement, width: number, height: number): CanvasRenderingContext2D {
  const ratio = Math.min(globalThis.devicePixelRatio || 1, 3);
  const w = Math.round(width * ratio), h = Math.round(height * ratio);
  if (canvas.width !== w || canvas.height !== h) {
    canvas.width = w;
    canvas.height = h;
    canvas.style.width = `${width}px`;
    canvas.style.height = `${height}px`;
  }
  const context = canvas.getContext("2d")!;
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, width, height);
  return context;
}
