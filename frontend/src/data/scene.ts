// The container `sleep-scene/1`: bytes in, checked scenes out. Knows no page.

export interface Item {
  name: string;
  tokens: [number, number];
  /** Graphs. */
  source?: string;
  target?: unknown;
  /** Cells: rows of 0 and 1, and the words for a screen reader. */
  rows?: number[][];
  label?: string;
  /** Sentences. */
  subject?: string;
  value?: string;
  depth?: number;
  parents?: number[];
  role?: string;
}

export interface Query {
  label: string;
  short: string;
  start: string;
  answer: string;
  difficulty: number;
  tokens: [number, number];
  path: number[];
  parents: number[];
  /** Sentences that build on the path and are not needed. */
  spare?: number[];
  chance: number | null;
}

interface Entry {
  window: number;
  start: number;
  stop: number;
  awake: boolean;
  passes: number;
}

export interface Header {
  schema: string;
  digest: string;
  model: { name: string; title: string; trained: string; trained_passes?: [number, number] | null; note?: string };
  task: {
    name: string; title: string; summary?: string; difficulty: string; query_form?: string; typing_help?: string;
    input?: string; queries?: string; unlike_training?: string;
  };
  sleep: { passes: number; window: number; eviction: string; order?: string };
  source: { kind: string; seed: number; example: number; examples?: number; chosen?: boolean; python?: string | string[]; changed?: string };
  entries: Entry[];
  boundaries: [number, number][];
  /** Tokens in the KV cache at each boundary, as [start, stop]. */
  cached?: [number, number][];
  layers: number[];
  heads: number;
  key: number;
  value: number;
  symbols: string[];
  valid: number[];
  marks: number[];
  answer_of: number[];
  picture: { kind: string; label: string; note: string; reading: string; items: Item[] };
  queries: Query[];
  candidates: string[];
  /** Whether every answer is one symbol. */
  one_symbol?: boolean | null;
  said: (string | null)[][];
  /** Arrays that a large scene leaves out. */
  asked?: string[];
}

/** An array with named axes, decoded to numbers; float16 becomes float32. */
export interface Named {
  dims: string[];
  shape: number[];
  data: Float32Array | Uint8Array | Int8Array | Int16Array | Int32Array;
}

export interface Scene extends Header {
  arrays: Map<string, Named>;
  /** Arrays of single heads that were asked for, by "layer head"; each has one layer and one head. */
  patches: Map<string, Map<string, Named>>;
}

/** What is wrong with the bytes, in one line. */
class SceneError extends Error {}

const MAGIC = "sleepsc1";
const SCHEMA = "sleep-scene/1";
const MOST_HEADER = 4 * 1024 * 1024;
/** Bytes of a number of each dtype, and how they are read. */
const DTYPES: { [dtype: string]: [size: number, read: (raw: ArrayBuffer) => Named["data"]] } = {
  float16: [2, (raw) => fromHalf(new Uint16Array(raw))], float32: [4, (raw) => new Float32Array(raw)], uint8: [1, (raw) => new Uint8Array(raw)],
  int8: [1, (raw) => new Int8Array(raw)], int16: [2, (raw) => new Int16Array(raw)], int32: [4, (raw) => new Int32Array(raw)],
};

interface Spec {
  dtype: string;
  dims: string[];
  shape: number[];
  offset: number;
}

/** A container that is not a whole scene: states of one head, or a patch. */
export interface Container {
  header: { [name: string]: unknown };
  arrays: Map<string, Named>;
}

/** Read every scene of a run of containers, one after another. */
export function readScenes(bytes: Uint8Array): Scene[] {
  return readContainers(bytes).map(toScene);
}

export function readContainers(bytes: Uint8Array): Container[] {
  const found: Container[] = [];
  let at = 0;
  while (at < bytes.length) {
    const [container, length] = readContainer(bytes.subarray(at));
    found.push(container);
    at += length;
  }
  return found;
}

function readContainer(bytes: Uint8Array): [Container, number] {
  if (bytes.length < 16 || ascii(bytes, 0, 8) !== MAGIC) {
    throw new SceneError(`not a scene: it begins with ${JSON.stringify(ascii(bytes, 0, 8))}, expected "${MAGIC}"`);
  }
  const length = new DataView(bytes.buffer, bytes.byteOffset + 8, 4).getUint32(0, true);
  if (length > MOST_HEADER) throw new SceneError(`a header of ${length} bytes; at most ${MOST_HEADER} are read`);
  if (12 + length > bytes.length) throw new SceneError("the file ends inside its header");
  let header: { [name: string]: unknown };
  try {
    header = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes.subarray(12, 12 + length)));
  } catch {
    throw new SceneError("a header that is not JSON");
  }
  if (header?.schema !== SCHEMA) {
    throw new SceneError(`a scene of schema ${JSON.stringify(header?.schema)}; this page reads ${SCHEMA}`);
  }
  const start = Math.ceil((12 + length) / 8) * 8;
  const arrays = new Map<string, Named>();
  let stop = start;
  for (const [name, spec] of Object.entries((header.arrays ?? {}) as { [name: string]: Spec })) {
    const [array, end] = readArray(bytes, start, name, spec);
    arrays.set(name, array);
    stop = Math.max(stop, end);
  }
  return [{ header, arrays }, Math.min(Math.ceil(stop / 8) * 8, bytes.length)];
}

function readArray(bytes: Uint8Array, start: number, name: string, spec: Spec): [Named, number] {
  if (!Object.hasOwn(DTYPES, spec?.dtype)) throw new SceneError(`${name} of dtype ${JSON.stringify(spec?.dtype)}; known: ${Object.keys(DTYPES).join(", ")}`);
  const [size, read] = DTYPES[spec.dtype];
  const whole = (n: unknown): n is number => Number.isInteger(n) && (n as number) >= 0;
  if (!Array.isArray(spec.shape) || !spec.shape.every(whole) || !whole(spec.offset)) {
    throw new SceneError(`${name} without a shape or an offset`);
  }
  if (!Array.isArray(spec.dims) || spec.dims.length !== spec.shape.length) {
    throw new SceneError(`${name} with ${spec.dims?.length} names for ${spec.shape.length} axes`);
  }
  const count = spec.shape.reduce((a, b) => a * b, 1);
  const from = start + spec.offset;
  const end = from + count * size;
  if (spec.offset % 8 || end > bytes.length) {
    throw new SceneError(`${name} lies outside the file or not at a multiple of 8`);
  }
  // a copy, so that the numbers are aligned whatever the host's buffer was
  return [{ dims: spec.dims, shape: spec.shape, data: read(bytes.slice(from, end).buffer) }, end];
}

let halves: Float32Array | undefined;

/** IEEE 754 half precision to single, by a table of all 65,536 values. */
export function fromHalf(values: Uint16Array): Float32Array {
  if (!halves) {
    halves = new Float32Array(65536);
    for (let i = 0; i < 65536; i++) {
      const sign = i & 0x8000 ? -1 : 1, exponent = (i >> 10) & 31, fraction = i & 1023;
      halves[i] = sign * (exponent === 0 ? fraction * 2 ** -24
        : exponent === 31 ? (fraction ? NaN : Infinity)
        : (1 + fraction / 1024) * 2 ** (exponent - 15));
    }
  }
  const found = new Float32Array(values.length);
  for (let i = 0; i < values.length; i++) found[i] = halves[values[i]];
  return found;
}

/** Axes of the arrays that a scene may have. */
const AXES: { [name: string]: string[] } = {
  fast_weight: ["boundary", "layer", "gdn_head", "key", "value"],
  norm: ["boundary", "layer", "gdn_head"],
  relative_change: ["boundary", "layer", "gdn_head"],
  effective_rank: ["boundary", "layer", "gdn_head"],
  baseline_change: ["boundary", "layer", "gdn_head"],
  memory_change: ["boundary"],
  share: ["boundary", "layer", "gdn_head", "token"],
  write_key: ["boundary", "layer", "gdn_head", "token_in_entry", "key"],
  write_value: ["boundary", "layer", "gdn_head", "token_in_entry", "value"],
  beta: ["boundary", "layer", "gdn_head", "token_in_entry"],
  log_decay: ["boundary", "layer", "gdn_head", "token_in_entry"],
  probability: ["boundary", "query", "candidate"],
  right_probability: ["boundary", "query"],
  correct: ["boundary", "query"],
  given: ["boundary", "query"],
};
const NEEDED = ["norm", "memory_change", "right_probability", "correct"];

function toScene({ header, arrays }: Container): Scene {
  const scene = { ...(header as unknown as Header), arrays, patches: new Map() };
  const lists = ["entries", "boundaries", "layers", "symbols", "valid", "marks", "answer_of", "queries", "candidates", "said"];
  for (const name of lists) {
    if (!Array.isArray(header[name])) throw new SceneError(`a scene without ${name}`);
  }
  for (const name of ["model", "task", "sleep", "source", "picture"]) {
    if (typeof header[name] !== "object" || header[name] === null) throw new SceneError(`a scene without ${name}`);
  }
  if (!Array.isArray(scene.picture.items)) throw new SceneError("a picture without items");
  const tokens = scene.symbols.length;
  for (const entry of scene.entries) {
    if (!(0 <= entry.start && entry.start <= entry.stop && entry.stop <= tokens)) {
      throw new SceneError(`a window from token ${entry.start} to ${entry.stop} of ${tokens}`);
    }
  }
  for (const [entry, pass] of scene.boundaries) {
    if (!scene.entries[entry] || pass < 0 || pass > scene.entries[entry].passes) {
      throw new SceneError(`a boundary after pass ${pass} of window ${entry}, which does not exist`);
    }
  }
  if (scene.cached && scene.cached.length !== scene.boundaries.length) throw new SceneError("cached tokens of another number of boundaries");
  for (const query of scene.queries) {
    if (!query.path.every((item) => scene.picture.items[item])) throw new SceneError(`the path of "${query.label}" leads outside the picture`);
  }
  const sizes: { [axis: string]: number } = {
    boundary: scene.boundaries.length, layer: scene.layers.length, gdn_head: scene.heads, key: scene.key,
    value: scene.value, token: tokens, query: scene.queries.length, candidate: scene.candidates.length,
  };
  for (const name of NEEDED) if (!arrays.has(name)) throw new SceneError(`a scene without ${name}`);
  for (const [name, { dims, shape }] of arrays) {
    const expected = AXES[name];
    if (!expected) continue; // a later version may add some
    if (dims.join() !== expected.join()) throw new SceneError(`${name} over (${dims.join(", ")}); expected (${expected.join(", ")})`);
    dims.forEach((axis, i) => {
      if (axis in sizes && sizes[axis] !== shape[i]) throw new SceneError(`${name} with ${axis} = ${shape[i]}; expected ${sizes[axis]}`);
    });
  }
  return scene;
}

function ascii(bytes: Uint8Array, from: number, to: number): string {
  return String.fromCharCode(...bytes.subarray(from, to));
}

/** The block of an array at its first indices, without a copy; undefined if the array is missing. */
export function block(scene: Scene, name: string, ...at: number[]): Named["data"] | undefined {
  let array = scene.arrays.get(name);
  if (!array && at.length > 2) {
    const [boundary, layer, head, ...rest] = at;
    array = scene.patches.get(`${layer} ${head}`)?.get(name);
    at = [boundary, 0, 0, ...rest];
  }
  if (!array) return undefined;
  let size = array.data.length, start = 0;
  at.forEach((index, i) => {
    size /= array.shape[i];
    start += index * size;
  });
  return array.data.subarray(start, start + size);
}

/** One number of an array; NaN if the array is missing. */
export function number(scene: Scene, name: string, ...at: number[]): number {
  return block(scene, name, ...at)?.[0] ?? NaN;
}

/** Whether a person typed the text, so that no seed leads to it. */
export function isTyped(scene: Header): boolean {
  return scene.source.seed < 0 && Boolean(scene.task.input);
}

/** The address of a sleep: what a change of which needs another scene. */
export function sleepKey(scene: Header): string {
  const { model, source, task } = scene;
  return JSON.stringify([model.name, source.seed, source.example, task.input ?? "", task.queries ?? "", source.changed ?? ""]);
}
