// A tiny scene whose every number can be worked out by hand, as bytes and as a scene.

import { readScenes, type Scene } from "../src/data/scene";

type Arrays = { [name: string]: { dtype: "float32" | "uint8"; dims: string[]; shape: number[]; values: number[] } };

/** Two windows: asleep for 2 passes over "a b", then awake for the question "b ?"; S is 1 x 2. */
export function header() {
  return {
    schema: "sleep-scene/1", digest: "00",
    model: { name: "m", title: "M", trained: "Trained with N from 1 to 2.", trained_passes: [1, 2] },
    task: { name: "t", title: "T", difficulty: "hops", input: "a>b", queries: "1:a" },
    sleep: { passes: 2, window: 2, eviction: "hard" },
    source: { kind: "reading", seed: 0, example: 3, python: ["import workbench", "workbench.theatre('m')"] },
    entries: [{ window: 0, start: 0, stop: 2, awake: false, passes: 2 }, { window: 1, start: 2, stop: 4, awake: true, passes: 1 }],
    boundaries: [[0, 0], [0, 1], [0, 2], [1, 0], [1, 1]],
    layers: [3], heads: 1, key: 1, value: 2,
    symbols: ["a", "b", "?", "b"], valid: [1, 1, 1, 1], marks: [2], answer_of: [-1, -1, -1, 0],
    picture: { kind: "graph", label: "", note: "", reading: "", items: [{ name: "a → b", tokens: [0, 2], source: "a", target: "b" }] },
    queries: [
      { label: "1 hop from a", short: "1 hop from a", start: "a", answer: "b", difficulty: 1, tokens: [2, 4], path: [0], parents: [], chance: 0.5 },
      { label: "2 hops from a", short: "2 hops from a", start: "a", answer: "a", difficulty: 2, tokens: [2, 4], path: [0], parents: [], chance: 0.5 },
    ],
    candidates: ["a", "b", "other"],
    said: [["a", "b"], ["b", "b"], ["b", "a"], ["b", "a"], ["b", "a"]],
  };
}

const H = ["boundary", "layer", "gdn_head"];

export function arrays(): Arrays {
  const NONE = NaN;
  return {
    fast_weight: { dtype: "float32", dims: [...H, "key", "value"], shape: [5, 1, 1, 1, 2], values: [0, 0, 3, 4, 3, 6, 3, 6, 3, 6] },
    norm: { dtype: "float32", dims: H, shape: [5, 1, 1], values: [0, 5, 6.7, 6.7, 6.7] },
    memory_change: { dtype: "float32", dims: ["boundary"], shape: [5], values: [NONE, 1, 0.06, NONE, 0] },
    relative_change: { dtype: "float32", dims: H, shape: [5, 1, 1], values: [NONE, 1, 0.06, NONE, 0] },
    share: { dtype: "float32", dims: [...H, "token"], shape: [5, 1, 1, 4], values: [NONE, NONE, NONE, NONE, 0.25, 0.75, 0, 0, 0.5, 0.5, 0, 0, 0.5, 0.5, 0, 0, 0.5, 0.5, 0, 0] },
    write_key: { dtype: "float32", dims: [...H, "token_in_entry", "key"], shape: [5, 1, 1, 2, 1], values: [NONE, NONE, 2, 1, 1, 1, NONE, NONE, 0, 0] },
    write_value: { dtype: "float32", dims: [...H, "token_in_entry", "value"], shape: [5, 1, 1, 2, 2], values: [NONE, NONE, NONE, NONE, 3, 4, 1, 0, 0, 1, 0, 1, NONE, NONE, NONE, NONE, 0, 0, 0, 0] },
    beta: { dtype: "float32", dims: [...H, "token_in_entry"], shape: [5, 1, 1, 2], values: [NONE, NONE, 0.5, 0.1, 1, 1, NONE, NONE, 0, 0] },
    right_probability: { dtype: "float32", dims: ["boundary", "query"], shape: [5, 2], values: [0.1, 0.2, 0.9, 0.3, 0.95, 0.8, 0.95, 0.8, 0.95, 0.8] },
    correct: { dtype: "uint8", dims: ["boundary", "query"], shape: [5, 2], values: [0, 0, 1, 0, 1, 1, 1, 1, 1, 1] },
    given: { dtype: "uint8", dims: ["boundary", "query"], shape: [5, 2], values: [0, 0, 0, 0, 0, 0, 0, 0, 1, 1] },
  };
}

/** Write a container, independently of the reader: DataView calls alone. */
export function bytes(head: object = header(), data: Arrays = arrays(), magic = "sleepsc1"): Uint8Array {
  let offset = 0;
  const specs: { [name: string]: object } = {};
  for (const [name, { dtype, dims, shape, values }] of Object.entries(data)) {
    specs[name] = { dtype, dims, shape, offset };
    offset += Math.ceil((values.length * (dtype === "uint8" ? 1 : 4)) / 8) * 8;
  }
  let text = JSON.stringify({ arrays: specs, ...head });
  while ((12 + new TextEncoder().encode(text).length) % 8) text += " ";
  const json = new TextEncoder().encode(text);
  const all = new Uint8Array(12 + json.length + offset), view = new DataView(all.buffer);
  [...magic].forEach((letter, i) => (all[i] = letter.charCodeAt(0)));
  view.setUint32(8, json.length, true);
  all.set(json, 12);
  let start = 12 + json.length;
  for (const { dtype, values } of Object.values(data)) {
    values.forEach((value, i) => (dtype === "uint8" ? view.setUint8(start + i, value) : view.setFloat32(start + 4 * i, value, true)));
    start += Math.ceil((values.length * (dtype === "uint8" ? 1 : 4)) / 8) * 8;
  }
  return all;
}

export function scene(change: object = {}): Scene {
  return readScenes(bytes({ ...header(), ...change }))[0];
}
