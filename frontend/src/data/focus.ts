// What a focus lights up elsewhere: tokens, items, and what they write into S. Pure.

import type { Focus, Place } from "./place";
import { block, number, type Scene } from "./scene";

export interface Lit {
  /** How strongly each token is lit, from 0 to 1; only tokens that are. */
  tokens: Map<number, number>;
  items: Set<number>;
  query?: number;
  /** What the lit tokens write in this pass, `[key][value]` of a head; undefined where nothing is known. */
  write(layer: number, head: number): Float32Array | undefined;
  /** Share of S that the lit tokens hold in a head, or NaN. */
  share(layer: number, head: number): number;
}

/** Tokens of a range. */
function span([start, stop]: [number, number]): number[] {
  return Array.from({ length: stop - start }, (_, i) => start + i);
}

/** Items that a token belongs to. */
function itemsOf(scene: Scene, token: number): number[] {
  const found: number[] = [];
  scene.picture.items.forEach(({ tokens: [a, b] }, item) => {
    if (a <= token && token < b) found.push(item);
  });
  return found;
}

/** The query that a token belongs to, as question or answer; -1 if none. */
function queryOf(scene: Scene, token: number): number {
  return scene.queries.findIndex(({ tokens: [a, b] }) => a <= token && token < b);
}

export function lit(scene: Scene, place: Place, focus: Focus | undefined): Lit | undefined {
  if (!focus) return undefined;
  const tokens = new Map<number, number>();
  const items = new Set<number>();
  let query: number | undefined;
  if (focus.kind === "token") {
    tokens.set(focus.token, 1);
    itemsOf(scene, focus.token).forEach((item) => items.add(item));
    const asked = queryOf(scene, focus.token);
    if (asked >= 0) query = asked;
  } else if (focus.kind === "item") {
    items.add(focus.item);
    span(scene.picture.items[focus.item].tokens).forEach((token) => tokens.set(token, 1));
  } else if (focus.kind === "query") {
    query = focus.query;
    for (const item of scene.queries[query].path) {
      items.add(item);
      span(scene.picture.items[item].tokens).forEach((token) => tokens.set(token, 1));
    }
  } else {
    writersOf(scene, place, focus.key, focus.value).forEach((strength, token) => tokens.set(token, strength));
  }
  return {
    tokens, items, query,
    write: (layer, head) => written(scene, place.boundary, layer, head, [...tokens.keys()]),
    share: (layer, head) => shareOf(scene, place.boundary, layer, head, [...tokens.keys()]),
  };
}

/** Beta of a token of the entry that is read in this pass; NaN if it is not read. */
export function betaOf(scene: Scene, boundary: number, layer: number, head: number, token: number): number {
  const { start, stop } = scene.entries[scene.boundaries[boundary][0]];
  return token < start || token >= stop ? NaN : number(scene, "beta", boundary, layer, head, token - start);
}

/** The sum of beta k v^T over tokens, `[key][value]`; undefined if none of them is read in this pass. */
export function written(scene: Scene, boundary: number, layer: number, head: number, tokens: number[]): Float32Array | undefined {
  let sum: Float32Array | undefined;
  const { start } = scene.entries[scene.boundaries[boundary][0]];
  for (const token of tokens) {
    const beta = betaOf(scene, boundary, layer, head, token);
    if (!(beta === beta)) continue;
    const key = block(scene, "write_key", boundary, layer, head, token - start);
    const value = block(scene, "write_value", boundary, layer, head, token - start);
    if (!key || !value) return undefined;
    sum ??= new Float32Array(key.length * value.length);
    for (let k = 0, at = 0; k < key.length; k++) {
      const strength = beta * key[k];
      for (let v = 0; v < value.length; v++, at++) sum[at] += strength * value[v];
    }
  }
  return sum;
}

/** Tokens by how much they write to one entry of S in this pass, the strongest 1; at most 12. */
export function writersOf(scene: Scene, place: Place, key: number, value: number): Map<number, number> {
  const { start, stop } = scene.entries[scene.boundaries[place.boundary][0]];
  const found: [number, number][] = [];
  for (let token = start; token < stop; token++) {
    const at = [place.boundary, place.layer, place.head, token - start];
    const k = block(scene, "write_key", ...at), v = block(scene, "write_value", ...at);
    const size = k && v ? Math.abs(number(scene, "beta", ...at) * k[key] * v[value]) : NaN;
    if (size > 0) found.push([token, size]);
  }
  found.sort((a, b) => b[1] - a[1]);
  const largest = found[0]?.[1] ?? 1;
  return new Map(found.slice(0, 12).filter(([, size]) => size > 0.05 * largest).map(([token, size]) => [token, size / largest]));
}

/** Share of S that tokens hold in one head; NaN where it is unknown. */
export function shareOf(scene: Scene, boundary: number, layer: number, head: number, tokens: number[]): number {
  const shares = block(scene, "share", boundary, layer, head);
  if (!shares || !tokens.length) return NaN;
  let sum = 0;
  for (const token of tokens) sum += shares[token];
  return sum;
}

const all = new WeakMap<Scene, Map<number, Float32Array | undefined>>();

/** Each token's share of all of S: heads count by their part of its squared norm; undefined where unknown. */
export function sharesOfAll(scene: Scene, boundary: number): Float32Array | undefined {
  let known = all.get(scene);
  if (!known) all.set(scene, (known = new Map()));
  if (!known.has(boundary)) known.set(boundary, addShares(scene, boundary));
  return known.get(boundary);
}

function addShares(scene: Scene, boundary: number): Float32Array | undefined {
  if (!scene.arrays.has("share")) return undefined;
  const found = new Float32Array(scene.symbols.length);
  let total = 0;
  for (let layer = 0; layer < scene.layers.length; layer++) {
    for (let head = 0; head < scene.heads; head++) {
      const squared = number(scene, "norm", boundary, layer, head) ** 2;
      const shares = block(scene, "share", boundary, layer, head)!;
      if (!(squared > 0) || !(shares[0] === shares[0])) continue;
      total += squared;
      for (let token = 0; token < found.length; token++) found[token] += squared * shares[token];
    }
  }
  if (!total) return undefined;
  for (let token = 0; token < found.length; token++) found[token] /= total;
  return found;
}
