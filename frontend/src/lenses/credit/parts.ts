// What an answer is owed to, as weights of tokens, heads, entries of S and boundaries. Pure.

import type { Scene } from "../../data/scene";

export interface Credit {
  axes: string[];
  shape: number[];
  values: number[];
  /** The head that the values are of, where there are too many to send. */
  only: { layer?: number; head?: number };
  /** Entries summed over each head. */
  sums: number[][] | null;
  limit: number;
  asked: { to: string; window: number; pass: number; [name: string]: unknown };
}

/** Attribution of every token of the text; NaN for those that are not part of the question. */
export function ofTokens(scene: Scene, { axes, values }: Credit): Float32Array | undefined {
  const found = new Float32Array(scene.symbols.length).fill(NaN);
  if (axes[0] === "token") values.forEach((value, token) => (found[token] = value));
  else if (axes[0] === "window") {
    for (const { window, start, stop } of scene.entries) {
      for (let token = start; token < stop && window < values.length; token++) found[token] = values[window];
    }
  } else return undefined;
  return found;
}

/** Attribution of what each pass changed, all heads together; NaN elsewhere. */
export function ofBoundaries(scene: Scene, { axes, shape, values, asked }: Credit): Float32Array | undefined {
  if (axes[0] !== "sleep_pass") return undefined;
  const each = values.length / shape[0];
  return Float32Array.from(scene.boundaries, ([entry, pass]) => {
    if (entry !== asked.window || pass < 1 || pass > shape[0]) return NaN;
    return values.slice((pass - 1) * each, pass * each).reduce((a, b) => a + b, 0);
  });
}

/** Attribution of each head, `[layer][head]`: of the pass that ends at this boundary, or of all passes. */
export function ofHeads(scene: Scene, credit: Credit, boundary: number): number[][] | undefined {
  const { axes, values, sums, asked, shape } = credit;
  if (sums) return sums;
  const heads = scene.heads, count = scene.layers.length * heads;
  if (!axes.includes("gdn_head")) return undefined;
  const table = (of: number[]) => scene.layers.map((_, layer) => of.slice(layer * heads, (layer + 1) * heads));
  if (axes[0] !== "sleep_pass") return table(values);
  const [entry, pass] = scene.boundaries[boundary];
  if (entry === asked.window && pass >= 1) return table(values.slice((pass - 1) * count, pass * count));
  const all = Array.from({ length: count }, (_, head) => Array.from({ length: shape[0] }, (_, p) => values[p * count + head]).reduce((a, b) => a + b, 0));
  return table(all);
}

/** Attribution of every entry of one head, `[key][value]`. */
export function ofCells(scene: Scene, { axes, values, only }: Credit, layer: number, head: number): Float32Array | undefined {
  if (!axes.includes("key")) return undefined;
  const size = scene.key * scene.value;
  if (only.head !== undefined) return only.head === head && only.layer === scene.layers[layer] ? Float32Array.from(values) : undefined;
  const start = (layer * scene.heads + head) * size;
  return Float32Array.from(values.slice(start, start + size));
}

/** A small table of few parts: its rows and columns by name. */
export function table(scene: Scene, credit: Credit): { rows: string[]; columns: string[]; values: number[][] } | undefined {
  const { axes, shape, values } = credit;
  const several = scene.layers.length > 1;
  const names = scene.layers.flatMap((layer) => Array.from({ length: scene.heads }, (_, head) => (several ? `layer ${layer}, head ${head}` : `head ${head}`)));
  const passes = Array.from({ length: shape[0] }, (_, i) => `pass ${i + 1}`);
  if (axes.join() === "sleep_pass") return { rows: passes, columns: ["nat"], values: values.map((value) => [value]) };
  if (axes.join() === "window") return { rows: values.map((_, i) => `window ${i + 1}`), columns: ["nat"], values: values.map((value) => [value]) };
  if (axes.join() === "layer,gdn_head") return { rows: names, columns: ["nat"], values: values.map((value) => [value]) };
  if (axes.join() === "sleep_pass,layer,gdn_head") {
    return { rows: names, columns: passes, values: names.map((_, head) => passes.map((_, pass) => values[pass * names.length + head])) };
  }
  return undefined;
}
