// Where we are: the one state of the page, and its form in an address.

import { isTyped, type Scene } from "./scene";

export const SHOWS = ["state", "change", "sleep_change"] as const;
export type Show = (typeof SHOWS)[number];

export const LENSES = ["memory", "cause", "credit"] as const;
export type LensName = (typeof LENSES)[number];

/** Names in the address that belong to one lens; a lens reads and checks its own. */
export const LENS_NAMES: { [lens in LensName]: string[] } = {
  memory: ["instrument"],
  cause: ["action", "donor", "part", "modes", "changed", "percent", "way"],
  credit: ["to", "method", "baseline", "steps", "samples"],
};

export interface Place {
  /** Index of the boundary in `scene.boundaries`. */
  boundary: number;
  /** Position in `scene.layers`, not the index in the stack. */
  layer: number;
  head: number;
  query: number;
  show: Show;
  lens: LensName;
  /** What is chosen in the lenses, by its name in the address. */
  chosen: Address;
}

/** What the pointer or the keyboard singles out. */
export type Focus =
  | { kind: "token"; token: number }
  | { kind: "item"; item: number }
  | { kind: "query"; query: number }
  | { kind: "cell"; key: number; value: number };

export interface State extends Place {
  hover?: Focus;
  picked?: Focus;
  playing: boolean;
}

/** A state that says when it has changed, once per frame however often it was set. */
export class Store {
  state: State;
  private asleep = true;
  constructor(state: State, private readonly changed: (now: State, before: State) => void,
    private readonly later: (run: () => void) => void = (run) => void requestAnimationFrame(run)) {
    this.state = state;
  }
  set(part: Partial<State>): void {
    const before = this.state;
    const names = Object.keys(part) as (keyof State)[];
    if (names.every((name) => same(part[name], before[name]))) return;
    this.state = { ...before, ...part };
    if (!this.asleep) return;
    this.asleep = false;
    this.later(() => {
      this.asleep = true;
      this.changed(this.state, before);
    });
  }
}

export function same(a: unknown, b: unknown): boolean {
  return a === b || (typeof a === "object" && JSON.stringify(a) === JSON.stringify(b));
}

/** The boundary at which a scene opens: the end of the first sleep, or what comes closest. */
export function opening(scene: Scene): number {
  const first = scene.entries.findIndex((entry) => !entry.awake);
  return Math.max(0, indexOf(scene, Math.max(first, 0), 1));
}

/** Index of a boundary, or -1. */
export function indexOf(scene: Scene, entry: number, pass: number): number {
  return scene.boundaries.findIndex(([e, p]) => e === entry && p === pass);
}

/** The same moment in another sleep of the same text: the end stays the end, else the pass is kept. */
export function matching(from: Scene, boundary: number, to: Scene): number {
  const [entry, pass] = from.boundaries[boundary];
  const e = Math.min(entry, to.entries.length - 1);
  const last = to.entries[e].passes;
  const p = entry !== e || pass === from.entries[entry].passes ? last : Math.min(pass, last);
  const found = indexOf(to, e, p);
  return found < 0 ? to.boundaries.length - 1 : found;
}

/** Text values by the names of the page's address. */
export type Address = { [name: string]: string | number | undefined };

/** What names a sleep to a host: the model, N, and an example or what a person typed. */
export function sleepOf(scene: Scene): { name: string; N: number; [name: string]: string | number | undefined } {
  const { model, source: { seed, example }, task: { input, queries }, sleep } = scene;
  return { name: model.name, N: sleep.passes, ...(isTyped(scene) ? { input, queries } : { seed, example }) };
}

/** What the address says of a place; windows and layers as they are counted everywhere else. */
export function toAddress(scene: Scene, place: Place): Address {
  const [entry, pass] = scene.boundaries[place.boundary];
  const { name, N, ...text } = sleepOf(scene);
  return {
    model: name, ...text, N, window: entry, pass, layer: scene.layers[place.layer], head: place.head, query: place.query, show: place.show,
    lens: place.lens, ...named(place.chosen, LENS_NAMES[place.lens]),
  };
}

/** Those values of an address that have one of these names. */
function named(address: Address, names: string[]): Address {
  return Object.fromEntries(names.filter((name) => (address[name] ?? "") !== "").map((name) => [name, address[name]]));
}

/** The place that an address names, and one sentence for each value that does not exist. */
export function fromAddress(scene: Scene, address: Address): [Place, string[]] {
  const wrong: string[] = [];
  const whole = (name: string, low: number, high: number, usual: number): number => {
    const given = address[name];
    if (given === undefined || given === "" || given === null) return usual;
    const value = Number(given);
    if (!Number.isInteger(value)) {
      wrong.push(`${name} = ${given} is not a whole number; ${usual} is shown.`);
      return usual;
    }
    const nearest = Math.min(Math.max(value, low), high);
    if (nearest !== value) wrong.push(`${name} = ${value} does not exist here; ${nearest} is shown.`);
    return nearest;
  };
  const [openEntry, openPass] = scene.boundaries[opening(scene)];
  const entry = whole("window", 0, scene.entries.length - 1, openEntry);
  const usual = entry === openEntry ? openPass : scene.entries[entry].passes;
  const pass = whole("pass", 0, scene.entries[entry].passes, usual);
  const layers = scene.layers;
  const wanted = Number(address.layer ?? layers[0]);
  if (!layers.includes(wanted)) wrong.push(`layer = ${address.layer} has no fast weights; ${layers[0]} is shown.`);
  const oneOf = <T extends string>(name: string, known: readonly T[]): T => {
    const given = address[name] ?? known[0];
    const found = known.find((one) => one === given);
    if (found === undefined) wrong.push(`${name} = ${given} is unknown; ${known.join(", ")} exist.`);
    return found ?? known[0];
  };
  const show = oneOf("show", SHOWS), lens = oneOf("lens", LENSES);
  return [
    {
      boundary: Math.max(0, indexOf(scene, entry, pass)), layer: Math.max(0, layers.indexOf(wanted)), show, lens,
      chosen: named(address, Object.values(LENS_NAMES).flat()),
      head: whole("head", 0, scene.heads - 1, 0), query: whole("query", 0, Math.max(scene.queries.length - 1, 0), hardest(scene)),
    },
    wrong,
  ];
}

/** The query that shows most: the hardest one that is right at the end, else the hardest. */
export function hardest(scene: Scene): number {
  const last = scene.boundaries.length - 1;
  const right = scene.arrays.get("correct")?.data;
  const rank = (query: number) => scene.queries[query].difficulty + (right?.[last * scene.queries.length + query] ? 1000 : 0);
  return scene.queries.reduce((best, _, query) => (rank(query) > rank(best) ? query : best), 0);
}

/** The same place in Python: what makes the scene again, and where in it we are. */
export function python(scene: Scene, place: Place): string {
  const [entry, pass] = scene.boundaries[place.boundary];
  const lines = scene.source.python ?? "";
  const made = (typeof lines === "string" ? lines : lines.join("\n")).trimEnd();
  return `${made}\n\nwindow, sleep_pass, layer, gdn_head, query = ${entry}, ${pass}, ${scene.layers[place.layer]}, ${place.head}, ${place.query}\n`;
}
