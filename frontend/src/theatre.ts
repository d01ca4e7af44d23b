// The theatre: scenes and a place in, four linked panels out. One per element; knows no host.

import { Asks, toBytes, type Answer, type Ask, type Model } from "./asks";
import { Bar, type Setup } from "./bar";
import { variables, type Theme } from "./colours";
import { attribute, flag, h, say, tooltips } from "./dom";
import { lit } from "./data/focus";
import { Cycle } from "./headline";
import { keys } from "./keys";
import type { Actions, Frame } from "./panel";
import { fromAddress, indexOf, matching, python, same, sleepOf, Store, toAddress, type Address, type Focus, type State } from "./data/place";
import { isTyped, readContainers, readScenes, sleepKey, type Scene } from "./data/scene";
import { Scrubber } from "./scrubber";
import { Stage } from "./stage";
import { StoryPlayer } from "./story";
import { askOf, sceneAt } from "./story/data";
import { flow, still } from "./story/flow";
import { nameOf, WAITING } from "./words";
import storyStyle from "./story/story.css";
import style from "./style.css";

/** Scenes that are kept; more if a host hands over more at once. */
const MOST_SCENES = 24;
const MOST_PASSES = 12;
const ECHOES = 8;
const PLAY_MS = 900, SMALL_PLAY_MS = 1500;

/** The theatre of this page that was used last. */
let inUse: Theatre | undefined;

export class Theatre {
  private readonly root = h("section", { class: "theatre", tabindex: -1, "aria-label": "One sleep of the model" });
  private readonly stages = h("div", { class: "stages" });
  private readonly notice = h("p", { class: "notice", role: "alert", hidden: true });
  private readonly bar: Bar;
  private readonly scrubber: Scrubber;
  private readonly store: Store;
  private readonly asks: Asks;
  private readonly actions: Actions;
  /** Every scene that has arrived; the newest last. */
  private scenes: Scene[] = [];
  private scene!: Scene;
  private other?: Scene;
  /** The stage of each scene that has been shown: another N is there at once. */
  private readonly built = new Map<Scene, Stage>();
  private main?: Stage;
  private side?: Stage;
  private cycle?: Cycle;
  private theme: Theme = "light";
  private timer = 0;
  /** The boundary where playing stops. */
  private until = Infinity;
  private readonly story?: StoryPlayer;
  /** A teacher asks first: answers are hidden until they are asked for. */
  private teacher = false;
  /** The moment whose hidden answers were asked for. */
  private shownAt = "";
  private drawn = 0;
  private readonly leave: (() => void)[] = [];

  constructor(private readonly model: Model, private readonly element: HTMLElement) {
    const shadow = element.shadowRoot ?? element.attachShadow({ mode: "open" });
    shadow.replaceChildren(h("style", {}, style + storyStyle), this.root);
    this.asks = new Asks(model);
    this.store = new Store({ boundary: 0, layer: 0, head: 0, query: 0, show: "state", lens: "memory", chosen: {}, playing: false }, () => this.draw());
    this.actions = this.makeActions();
    this.bar = new Bar(this.barActions());
    this.scrubber = new Scrubber(this.actions, () => this.play(!this.store.state.playing));
    const told = model.get("story"), place = model.get("place") ?? {};
    if (told?.scenes) this.story = new StoryPlayer(told, { go: (to, play) => this.go(to, play), redraw: () => this.draw() }, this.root);
    const small = Boolean(model.get("settings")?.small), foot = h("div", { class: "foot" }, this.scrubber.element);
    if (small) foot.prepend(this.bar.element);
    else this.root.append(this.bar.element);
    this.root.append(...(this.story ? [this.story.element] : []), this.notice, this.stages, foot);
    this.story?.element.firstElementChild!.append(this.bar.teacher);
    tooltips(this.root);
    this.teacher = String(place.teacher ?? "") === "1";
    this.watchTheme();
    this.listen();
    if (!this.take(model.get("scene"), true).length) return;
    this.story?.begin(place);
    if (model.get("settings")?.play && this.story?.address === undefined) this.opening();
  }

  /** Play from the start at once; or stand at the end of the first sleep, where motion is not wanted. */
  private opening(): void {
    const entry = this.scene.entries.findIndex(({ awake }) => !awake);
    const end = indexOf(this.scene, entry, this.scene.entries[entry]?.passes ?? 0);
    this.store.set({ boundary: still() ? Math.max(0, end) : 0 });
    if (!still()) this.play(true);
  }

  private makeActions(): Actions {
    const { store } = this;
    return {
      set: (part) => store.set(part),
      hover: (focus) => store.set({ hover: focus }),
      pick: (focus) => store.set({ picked: same(store.state.picked, focus) ? undefined : focus }),
      choose: (query) => store.set({ query }),
      fetchStates: this.model.get("live") ? (layer, head) => this.fetchStates(this.scene, layer, head) : undefined,
      ask: this.model.get("live") ? (...given) => this.asks.send(...given) : undefined,
      drop: (what) => this.asks.drop(what),
      reveal: () => {
        this.shownAt = this.moment();
        this.draw();
      },
      plotly: (this.model.get("settings") ?? {}).plotly,
      redraw: () => this.draw(),
      give: (digest, head) => this.give(digest, head),
      beside: (ask) => this.beside(ask),
    };
  }

  private barActions() {
    return {
      passes: (n: number) => this.toPasses(n),
      example: (step: number) => {
        if (!this.model.get("live")) return this.toSleep(step);
        const { seed, example, examples = 16 } = this.scene.source;
        this.askScene({ name: this.scene.model.name, seed, example: (example + step + examples) % examples, N: this.scene.sleep.passes });
      },
      model: (name: string) => this.askScene({ name, seed: Math.max(0, this.scene.source.seed) }),
      typed: (input: string, queries: string) => this.askScene({ name: this.scene.model.name, input, queries, N: this.scene.sleep.passes }),
      drawn: () => this.askScene({ name: this.scene.model.name, seed: Math.max(0, this.scene.source.seed), example: 0, N: this.scene.sleep.passes }),
      compare: (index: number) => this.compare(this.others()[index - 1]),
      theme: () => this.setTheme(this.theme === "light" ? "dark" : "light"),
      teacher: () => {
        this.teacher = !this.teacher;
        this.shownAt = "";
        this.settings();
        this.bar.update(this.scene, this.setup());
      },
      python: () => python(this.scene, this.store.state),
    };
  }

  private listen(): void {
    const { model } = this;
    const on = (name: string, call: (...args: any[]) => void) => {
      model.on(name, call);
      this.leave.push(() => model.off?.(name, call));
    };
    on("msg:custom", this.asks.receive);
    on("change:scene", () => this.take(model.get("scene"), true));
    on("change:more", () => this.take(model.get("more"), false) && this.bar.update(this.scene, this.setup()));
    on("change:settings", () => this.settings());
    on("change:place", () => this.moved(model.get("place") ?? {}));
    for (const name of ["pointerdown", "focusin"]) this.root.addEventListener(name, () => (inUse = this));
    this.root.addEventListener("pointerdown", (event) => this.closeMenus(event.target as Element));
    const press = (event: KeyboardEvent) => keys(event, {
      story: this.story,
      state: this.store.state, last: this.scene.boundaries.length - 1, actions: this.actions,
      play: () => this.play(!this.store.state.playing), passes: (n) => this.toPasses(n), close: () => this.closeMenus(),
    });
    this.root.addEventListener("keydown", press);
    // where nothing has the focus, keys are meant for the theatre that was used last
    const anywhere = (event: KeyboardEvent) => event.target === document.body && (inUse ?? this) === this && press(event);
    document.addEventListener("keydown", anywhere);
    this.leave.push(() => document.removeEventListener("keydown", anywhere));
  }

  /** Close every open menu but the one that was used. */
  private closeMenus(used?: Element): void {
    for (const menu of this.root.querySelectorAll<HTMLDetailsElement>("details[open]")) if (!used || !menu.contains(used)) menu.open = false;
  }

  private watchTheme(): void {
    const media = matchMedia("(prefers-color-scheme: dark)");
    const follow = () => this.settings();
    media.addEventListener("change", follow);
    this.leave.push(() => media.removeEventListener("change", follow));
    this.settings();
  }

  private settings(): void {
    const settings = this.model.get("settings") ?? {};
    const asked = settings.theme ?? "auto";
    flag(this.root, "big", Boolean(settings.big) || this.teacher);
    flag(this.root, "teacher", this.teacher);
    flag(this.root, "small", Boolean(settings.small));
    flag(this.root, "boxed", Boolean(settings.height));
    flag(this.root, "unanswered", Boolean(settings.hide?.includes("answers")));
    if (settings.height) this.root.style.maxHeight = typeof settings.height === "number" ? `${settings.height}px` : settings.height;
    const dark = matchMedia("(prefers-color-scheme: dark)").matches;
    this.setTheme(asked === "auto" ? (dark ? "dark" : "light") : asked);
  }

  private setTheme(theme: Theme): void {
    this.theme = theme;
    this.element.setAttribute("data-theme", theme);
    const height = this.root.style.maxHeight;
    this.root.setAttribute("style", variables(theme) + (height ? ` max-height: ${height};` : ""));
    if (this.main) this.draw();
  }

  /** Take scenes in, and return them; the first (or the one with the N of the address) is shown if `show`. */
  private take(bytes: unknown, show: boolean): Scene[] {
    try {
      const alike = (a: Scene, b: Scene) => sleepKey(a) === sleepKey(b) && a.sleep.passes === b.sleep.passes;
      const found = readScenes(toBytes(bytes)).map((now) => (show ? now : this.scenes.find((one) => alike(one, now)) ?? now));
      if (!found.length) throw new Error("no scene to show");
      this.scenes = [...this.scenes.filter((one) => !found.some((now) => alike(one, now))), ...found].slice(-Math.max(MOST_SCENES, found.length));
      for (const [scene, stage] of this.built) {
        if (this.scenes.includes(scene) || stage === this.main || stage === this.side) continue;
        stage.destroy();
        this.built.delete(scene);
      }
      const wanted = Number((this.model.get("place") ?? {}).N);
      if (show) this.show((!this.scene && found.find((one) => one.sleep.passes === wanted)) || found[0]);
      return found;
    } catch (error) {
      this.tell(`This scene cannot be shown: ${(error as Error).message}`);
      return [];
    }
  }

  private tell(words: string): void {
    this.notice.hidden = !words;
    say(this.notice, words);
  }

  /** Put a scene on the stage, at the same moment as before where the text is the same. */
  private show(scene: Scene): void {
    const before = this.scene as Scene | undefined;
    const state = this.store.state;
    this.asks.drop("scene"); // this choice is newer than what is still being waited for
    this.main?.wait("");
    if (scene === before) return this.bar.update(scene, this.setup()); // another model may have been chosen there
    this.scene = scene;
    let place: Partial<State>;
    this.tell("");
    if (before && sleepKey(before) === sleepKey(scene)) place = { boundary: matching(before, state.boundary, scene) };
    else {
      const [found, wrong] = fromAddress(scene, before ? {} : (this.model.get("place") ?? {}));
      const kept = before ? { lens: state.lens, chosen: state.chosen } : {};
      place = { ...found, ...kept, hover: undefined, picked: undefined, playing: false };
      this.tell(wrong.join(" "));
    }
    const layer = Math.min(state.layer, scene.layers.length - 1), head = Math.min(state.head, scene.heads - 1);
    this.store.state = { ...state, layer, head, ...place };
    if (this.other === scene || (this.other && sleepKey(this.other) !== sleepKey(scene))) this.other = undefined;
    this.build();
  }

  /** The head of another sleep is dragged onto this one: a patch, if both are read alike. */
  private give(digest: string, head: { layer: number; head: number }): void {
    const { scene, store } = this;
    const donor = [this.other, scene].find((one) => one?.digest === digest);
    const { seed, example } = donor?.source ?? {};
    const alike = donor && donor.model.name === scene.model.name && seed === scene.source.seed && !donor.source.changed && !isTyped(scene);
    if (donor === scene || !alike || example === scene.source.example) {
      return this.tell("A head can be given by another example of the same model and seed to the sleep on the left.");
    }
    this.tell("");
    store.set({ ...head, lens: "cause", chosen: { ...store.state.chosen, action: undefined, part: "head", donor: example } });
  }

  /** Ask for a scene, and compare with it once it is there. */
  private beside(ask: Ask): void {
    this.main?.wait(WAITING.scene);
    this.asks.send(ask, ({ problem, bytes, result }) => {
      this.main?.wait("");
      const wrong = problem ?? result?.problem, [found] = wrong ? [] : this.take(bytes, false);
      if (found) this.compare(found);
      else if (wrong) this.tell(wrong);
    }, undefined, "beside");
  }

  private compare(other: Scene | undefined): void {
    this.other = other;
    this.build();
  }

  private build(): void {
    const { scene, other } = this;
    const cycle = new Cycle(scene);
    if (this.cycle) this.cycle.element.replaceWith(cycle.element);
    else this.stages.before(cycle.element);
    this.cycle = cycle;
    this.main = this.stage(scene);
    this.side = other && this.stage(other);
    this.main.name(other ? nameOf(scene, other) : "");
    this.side?.name(nameOf(other!, scene));
    this.stages.replaceChildren(this.main.element, ...(this.side ? [this.side.element] : []));
    flag(this.stages, "two", Boolean(this.side));
    this.scrubber.show(scene);
    this.bar.update(scene, this.setup());
    this.draw();
  }

  private stage(scene: Scene): Stage {
    let stage = this.built.get(scene);
    if (!stage) this.built.set(scene, (stage = new Stage(scene, this.actionsOn(scene), (this.model.get("settings") ?? {}).hide ?? [])));
    return stage;
  }

  /** What the stage of a scene may do; next to another scene it stays within what both have. */
  private actionsOn(scene: Scene): Actions {
    const within = ({ layer = 0, head = 0, query = 0 }: Partial<State>) =>
      layer < this.scene.layers.length && head < this.scene.heads && query < this.scene.queries.length;
    const { store, actions } = this;
    const fetch = actions.fetchStates && ((layer: number, head: number) => this.fetchStates(scene, layer, head));
    return { ...actions, set: (part) => within(part) && store.set(part), fetchStates: fetch };
  }

  private others(): Scene[] {
    return this.scenes.filter((one) => one !== this.scene && one.symbols.length === this.scene.symbols.length);
  }

  private setup(): Setup {
    const live = Boolean(this.model.get("live"));
    const ready = this.scenes.filter((one) => sleepKey(one) === sleepKey(this.scene)).map((one) => one.sleep.passes).sort((a, b) => a - b);
    const most = this.model.get("settings")?.small ? (this.scene.model.trained_passes?.[1] ?? 1) : MOST_PASSES;
    const all = Array.from({ length: Math.max(most, ...ready) }, (_, i) => i + 1);
    const others = this.others();
    return {
      catalogue: this.model.get("catalogue") ?? [], live, sleeps: this.sleeps().length,
      teacher: this.teacher, themed: ((this.model.get("settings") ?? {}).theme ?? "auto") !== "auto", ready, offered: live && this.scene.source.kind !== "trace" && (this.model.get("catalogue")?.length || most < MOST_PASSES) ? all : [...new Set(ready)],
      others: ["Compare", ...others.map((one) => nameOf(one, this.scene))], other: this.other ? others.indexOf(this.other) + 1 : 0,
    };
  }

  /** The sleeps at hand, one for each text and model; with the same N where there is one. */
  private sleeps(): Scene[] {
    const found = new Map<string, Scene>();
    for (const one of this.scenes) {
      const key = sleepKey(one);
      if (!found.has(key) || one.sleep.passes === this.scene.sleep.passes) found.set(key, one);
    }
    return [...found.values()];
  }

  private toSleep(step: number): void {
    const all = this.sleeps();
    const here = all.findIndex((one) => sleepKey(one) === sleepKey(this.scene));
    this.show(all[(here + step + all.length) % all.length]);
  }

  private toPasses(n: number): void {
    const known = this.scenes.find((one) => sleepKey(one) === sleepKey(this.scene) && one.sleep.passes === n);
    if (known) return this.show(known);
    if (!this.model.get("live")) return;
    this.askScene({ ...sleepOf(this.scene), N: n }, WAITING.passes(n));
  }

  /** Follow a host to another place, not to one that it only echoes. */
  private moved(place: Address): void {
    if (this.published.includes(JSON.stringify(place))) return;
    this.go(place.model ? place : { ...toAddress(this.scene, this.store.state), ...place }, false);
  }

  /** Go to a place, in another sleep too; with `play`, walk there if it lies ahead in this one. */
  private go(place: Address, play: boolean): void {
    const scene = sceneAt(this.scenes, place);
    if (!scene) {
      if (!this.model.get("live")) return this.tell("The sleep of this scene is not in this file.");
      return this.askScene(askOf(place), WAITING.scene, () => this.stand(place, false));
    }
    const ahead = play && scene === this.scene && !still();
    this.play(false);
    this.show(scene);
    this.stand(place, ahead);
  }

  /** Stand where a place says in the sleep that is shown, or walk there. */
  private stand(place: Address, walk: boolean): void {
    const from = this.store.state.boundary;
    const [found, wrong] = fromAddress(this.scene, place);
    this.tell(wrong.join(" "));
    const ahead = walk && found.boundary > from;
    this.store.set({ ...found, hover: undefined, picked: undefined, ...(ahead ? { boundary: from } : {}) });
    if (ahead) this.play(true, found.boundary);
  }

  private askScene(ask: { [name: string]: unknown }, words = WAITING.scene, then?: () => void): void {
    this.main?.wait(words);
    this.asks.send({ what: "scene", ...ask }, ({ problem, field, bytes }: Answer) => {
      this.main?.wait("");
      if (problem) {
        if ("input" in ask) this.bar.wrong(problem, field);
        else this.tell(problem);
        this.bar.update(this.scene, this.setup());
        return;
      }
      if (!this.take(bytes, true).length) return;
      this.bar.wrong("");
      this.tell("");
      then?.();
    });
  }

  /** S of one head, for a scene that came without: kept with the scene. */
  private fetchStates(scene: Scene, layer: number, head: number): void {
    const ask = { what: "states", ...sleepOf(scene), digest: scene.digest, layer: scene.layers[layer], head };
    this.asks.send(ask, ({ bytes, problem }) => {
      if (problem || !bytes) return this.tell(problem ?? "The host sent no S for this head.");
      scene.patches.set(`${layer} ${head}`, readContainers(bytes)[0].arrays);
      this.draw();
    }, undefined, `states ${scene.digest}`);
  }

  private get pace(): number {
    return this.model.get("settings")?.small ? SMALL_PLAY_MS : PLAY_MS;
  }

  private play(on: boolean, until = Infinity): void {
    const last = this.scene.boundaries.length - 1;
    const { boundary } = this.store.state;
    this.until = Math.min(until, last);
    this.store.set({ playing: on, ...(on && boundary === last ? { boundary: 0 } : {}) });
    clearTimeout(this.timer);
    if (on) this.timer = window.setTimeout(() => this.tick(), this.pace);
  }

  private tick(): void {
    const { playing, boundary } = this.store.state;
    const last = Math.min(this.until, this.scene.boundaries.length - 1);
    if (!playing) return;
    this.store.set({ boundary: Math.min(boundary + 1, last), playing: boundary + 1 < last });
    this.timer = window.setTimeout(() => this.tick(), this.pace);
  }

  private draw(): void {
    const { scene, other, store: { state }, theme } = this;
    if (!this.main) return;
    const focus: Focus | undefined = state.hover ?? state.picked;
    const veiled = this.veiled();
    const main: Frame = { scene, state, boundary: state.boundary, lit: lit(scene, state, focus), theme, veiled };
    flag(this.root, "veiled", veiled);
    this.cycle?.update(main);
    const painted = this.main.update(main);
    if (other && this.side) {
      const boundary = matching(scene, state.boundary, other);
      const place = { ...state, boundary, layer: Math.min(state.layer, other.layers.length - 1), head: Math.min(state.head, other.heads - 1) };
      this.side.update({ scene: other, state: place, boundary, lit: lit(other, place, focus), theme, veiled }, true);
    }
    this.scrubber.update(painted);
    attribute(this.root, "data-boundary", String(state.boundary));
    this.motion(state);
    this.story?.heard(toAddress(scene, state), !state.playing);
    this.publish(state);
  }

  /** What moves while the sleep is played, and where it wakes. */
  private motion({ boundary, playing }: State): void {
    const { scene } = this;
    const [entry, pass] = scene.boundaries[boundary];
    const moving = playing || boundary === this.until;
    flag(this.root, "moving", moving);
    flag(this.root, "telling", this.story?.address !== undefined);
    flag(this.root, "awake", scene.entries[entry].awake && pass > 0);
    if (moving && boundary === this.drawn + 1) flow(this.root, scene, boundary);
    this.drawn = boundary;
  }

  /** Whether the answers are hidden: a prediction is open, or a teacher asks first. */
  private veiled(): boolean {
    const hidden = this.story?.address === undefined ? this.teacher : this.story.open;
    return hidden && this.shownAt !== this.moment();
  }

  private moment(): string {
    return `${sleepKey(this.scene)} ${this.scene.sleep.passes} ${this.store.state.boundary}`;
  }

  private publishing = 0;
  /** The sleep whose place was published last. */
  private publishedSleep = "";
  /** Places that were given to the host, which may echo them later; the newest last. */
  private published: string[] = [];

  /** Say where we are, for the host's address: another sleep at once, but not every step of a drag. */
  private publish(state: State): void {
    clearTimeout(this.publishing);
    const sleep = sleepKey(this.scene);
    this.publishing = window.setTimeout(() => {
      this.publishedSleep = sleep;
      const place = { ...toAddress(this.scene, state), scene: this.story?.address, teacher: this.teacher ? 1 : undefined };
      this.published = [...this.published, JSON.stringify(place)].slice(-ECHOES);
      this.model.set?.("place", place);
      this.model.save_changes?.();
    }, sleep === this.publishedSleep ? 250 : 0);
  }

  destroy(): void {
    clearTimeout(this.timer);
    clearTimeout(this.publishing);
    for (const stage of this.built.values()) stage.destroy();
    this.scrubber.destroy();
    for (const leave of this.leave) leave();
    if (inUse === this) inUse = undefined;
  }
}
