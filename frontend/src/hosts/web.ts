// The theatre on a plain page: asks go to the server, the place is kept in the address.

import type { Model } from "../asks";
import type { Address } from "../data/place";
import { asTyped, fromSearch, leadsTo, sleepOf, toSearch } from "./address";
import { frames, json, parts } from "./frames";

/** What the page's `data` holds. */
interface Data {
  module: string;
  ask: string;
  first: string;
  catalogue: { name: string; passes?: number[] }[];
  settings?: { [name: string]: unknown };
  story?: unknown;
  /** Names of the place that this page's address keeps, none of them to leave it as it is; all where it is left out. */
  keep?: string[];
  /** Where the reader is at first; as the address says where it is left out. */
  place?: Address;
}

/** Time for the first picture, before the same text with other N is asked for. */
const AFTER_MS = 600;

type Call = (...given: any[]) => void;

const GONE = "The server does not answer; expected `workbench serve` to be running; start it again, and reload this page.";

/** What a server said to a request that it did not answer in frames, or why none came. */
async function refused(response: Response): Promise<string> {
  return (await response.text()).trim().slice(0, 300) || `status ${response.status}`;
}

class WebModel implements Model {
  private readonly values: { [name: string]: any };
  private readonly calls = new Map<string, Set<Call>>();
  private readonly open = new Map<number, AbortController>();
  /** The text that was typed, as it was typed. */
  own: Address = {};
  /** Where the address already leads, and the ask for it (0 before it is sent), until that is shown. */
  private awaited?: { place: Address; id: number };
  /** The sleep that the address names; nothing as long as that is what a reader typed. */
  private shown = "";
  private fetching?: AbortController;

  constructor(private readonly data: Data, scene: Uint8Array, theme: string) {
    this.values = {
      scene, catalogue: data.catalogue, live: true, story: data.story,
      settings: { ...data.settings, theme }, place: data.place ?? fromSearch(location.search),
    };
    if (!data.place) addEventListener("popstate", () => this.back());
  }

  get(name: string): any {
    return this.values[name];
  }

  set(name: string, value: unknown): void {
    this.values[name] = value;
    if (name === "place") this.keep(value as Address);
  }

  on(name: string, call: Call): void {
    this.calls.set(name, (this.calls.get(name) ?? new Set()).add(call));
  }

  off(name: string, call: Call): void {
    this.calls.get(name)?.delete(call);
  }

  /** Change a value from outside, and say so. */
  change(name: string, value: unknown): void {
    this.values[name] = value;
    this.say(`change:${name}`);
  }

  private say(name: string, ...given: unknown[]): void {
    for (const call of [...(this.calls.get(name) ?? [])]) call(...given);
  }

  send(message: any): void {
    if (message.kind === "cancel") {
      this.open.get(message.id)?.abort();
      if (message.id === this.awaited?.id) this.awaited = undefined;
    }
    if (message.kind !== "ask") return;
    if (message.ask.what === "scene" && !this.data.keep) this.lead(message.id, message.ask);
    void this.answer(message.id, message.ask);
  }

  /** Another model is in the address at once, so that Back leads back from it while it is read. */
  private lead(id: number, { name, seed }: any): void {
    if (this.awaited?.place.model === name) return void (this.awaited!.id = id);
    if (name === this.values.place.model) return;
    history[this.awaited ? "replaceState" : "pushState"](null, "", toSearch({ model: name, seed }));
    this.awaited = { place: { model: name, seed }, id };
  }

  /** Keep a place in the address: steps replace it, another text or model is a new entry. */
  private keep(place: Address): void {
    if (this.data.keep) {
      if (!this.data.keep.length) return;
      const search = toSearch(Object.fromEntries(this.data.keep.map((name) => [name, place[name]])));
      return history.replaceState(null, "", search === "?" ? location.pathname : search);
    }
    const typed = asTyped(place, this.own), sleep = sleepOf(typed), search = toSearch(typed);
    if (this.awaited && !leadsTo(this.awaited.place, typed)) return;
    const step = !this.shown || Boolean(this.awaited) || sleep === this.shown;
    this.awaited = undefined;
    this.shown = sleep;
    if (search !== location.search) history[step ? "replaceState" : "pushState"](null, "", search);
  }

  /** Show what the browser's history leads back to. */
  private back(): void {
    const place = fromSearch(location.search);
    this.own = place.input ? { input: place.input, queries: place.queries } : {};
    this.awaited = { place, id: 0 };
    this.change("place", place);
  }

  /** What the address led to cannot be shown: it leads to what is shown again. */
  private giveUp(): void {
    this.awaited = undefined;
    this.keep(this.values.place);
  }

  private async answer(id: number, ask: any): Promise<void> {
    const reply = { kind: "answer", id };
    const abort = new AbortController();
    this.open.set(id, abort);
    const fail = (problem: string, field = "") => {
      if (ask.what === "scene") this.giveUp();
      this.say("msg:custom", { ...reply, problem, field });
    };
    try {
      if (ask.what === "scene") this.fetching?.abort();
      const response = await this.post(ask, abort);
      if (!response.ok) return fail(await refused(response));
      let result: unknown, container: Uint8Array | undefined;
      for await (const frame of frames(parts(response))) {
        if (frame.kind === "p") this.say("msg:custom", { kind: "progress", id, ...json(frame) });
        if (frame.kind === "b") container = frame.content;
        if (frame.kind === "j") result = json(frame);
        if (frame.kind !== "r") continue;
        const { problem, field } = json(frame);
        if (problem) return fail(problem, field);
        if (ask.what === "scene") this.own = ask.input ? { input: ask.input, queries: ask.queries } : {};
        this.say("msg:custom", { ...reply, result }, container ? [container] : []);
        if (ask.what === "scene") void this.fetchOthers(ask);
        return;
      }
      throw new Error("the answer has no end");
    } catch (error) {
      if (!abort.signal.aborted) fail(GONE);
    } finally {
      this.open.delete(id);
    }
  }

  private post(ask: unknown, { signal }: AbortController): Promise<Response> {
    return fetch(this.data.ask, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(ask), signal });
  }

  /** Fetch the same text with every other N of training, one after the other, to have them at hand. */
  async fetchOthers(ask: { [name: string]: unknown }): Promise<void> {
    const found = this.data.catalogue.find(({ name }) => name === ask.name);
    this.fetching?.abort();
    const abort = (this.fetching = new AbortController());
    try {
      for (const n of found?.passes ?? []) {
        if (n === Number(ask.N ?? this.values.place.N)) continue;
        const response = await this.post({ ...ask, what: "scene", N: n }, abort);
        for await (const { kind, content } of frames(parts(response))) if (kind === "b" && !abort.signal.aborted) this.change("more", content);
      }
    } catch {
      // they are asked for again when they are wanted
    }
  }
}

/** Show the theatre where the page has its place; returns what ends it. */
export async function start(data: Data, element = document.getElementById("theatre")!): Promise<(() => void) | void> {
  const list = document.getElementById("problems");
  const root = document.documentElement;
  const say = (lines: string[]) => {
    if (!list) return;
    list.hidden = !lines.length;
    list.replaceChildren(...lines.map((line) => Object.assign(document.createElement("li"), { textContent: line })));
  };
  try {
    const [{ default: theatre }, response] = await Promise.all([import(data.module), fetch(data.first)]);
    if (!response.ok) return say([await refused(response)]);
    for await (const frame of frames(parts(response))) {
      if (frame.kind === "r") return say([json(frame).problem]);
      if (frame.kind === "j") {
        const { problems, own, ask } = json(frame);
        say(problems);
        Object.assign(data, { own, asked: ask });
      }
      if (frame.kind !== "b") continue;
      const { own, asked } = data as Data & { own: Address; asked: { [name: string]: unknown } };
      const model = new WebModel(data, frame.content, root.dataset.theme!);
      model.own = own;
      const leave = theatre.render({ model, el: element }), paint = () => model.change("settings", { ...model.get("settings"), theme: root.dataset.theme });
      element.classList.remove("waiting");
      addEventListener("themechange", paint);
      setTimeout(() => void model.fetchOthers(asked), AFTER_MS);
      return () => (removeEventListener("themechange", paint), leave());
    }
  } catch (error) {
    say([`The theatre cannot be shown: ${(error as Error).message}`, GONE]);
  }
}

const data = document.getElementById("data")?.textContent;
if (data && document.getElementById("theatre")) void start(JSON.parse(data));
