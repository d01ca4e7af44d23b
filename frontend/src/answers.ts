// The answers if the model woke now: one row per question, and when each turns right.

import { chance, isRight, rightFrom, rows, score } from "./data/answers";
import { attribute, flag, h, quiet, s, say, scrolled, term } from "./dom";
import { card, type Actions, type Frame, type Panel } from "./panel";
import { number, block, type Scene } from "./data/scene";
import { answerLabel, percent, saidWords, turnsRight } from "./words";

const TITLE = "If it woke now";
const WIDTH = 120, HEIGHT = 26;

interface Row {
  element: HTMLTableRowElement;
  button: HTMLButtonElement;
  said: HTMLElement;
  bar: HTMLElement;
  share: HTMLElement;
  here: SVGElement;
  query: number;
}

export class AnswersPanel implements Panel {
  readonly element: HTMLElement;
  private readonly rows: Row[];
  private readonly total = h("b", {});
  private readonly guess = h("span", { class: "muted" });
  private readonly detail = h("div", { class: "considered" });
  private readonly veil: HTMLElement;
  private readonly columns: { bar: HTMLElement; share: HTMLElement }[] = [];
  private readonly usual: HTMLElement;
  private readonly instead = h("div", {});
  private detailOf = -1;
  private seen = "";

  constructor(private readonly scene: Scene, private readonly actions: Actions) {
    this.rows = rows(scene).map((query) => this.row(query));
    const guess = chance(scene);
    if (guess === guess) this.guess.append("A ", term("chance", "guess"), ` gets ${percent(guess)}.`);
    const heads = ["Question", "Answer", "Right answer’s probability", "Over the sleep"];
    this.usual = scrolled("Answers if the model woke now", heads, this.rows.map((row) => row.element));
    this.veil = h("p", { class: "veil", hidden: true }, "The answers are hidden. ", quiet("Show the answers", () => actions.reveal()));
    const woken = scene.sleep.order === "predict_then_sleep" ? [" Awake, it reads the rest of the text without sleeping again."] : [];
    this.element = card("answers", TITLE, [this.total, " ", this.guess, ...woken], this.veil, this.usual, this.detail, this.instead);
  }

  private row(query: number): Row {
    const { scene, actions } = this;
    const { label } = scene.queries[query], short = label.length <= 24 ? label : scene.queries[query].short;
    const said = h("span", { class: "said" }), bar = h("i", {}), share = h("span", { class: "number" });
    const button = h("button", { type: "button", class: short.length > 16 ? "ask" : "ask whole", title: label !== short ? label : undefined }, short);
    const guess = scene.queries[query].chance;
    const tick = typeof guess === "number" ? h("u", { style: `left:${100 * guess}%` }) : undefined;
    const here = s("line", { class: "here", y1: 1, y2: HEIGHT - 1 });
    const element = h("tr", {
      onclick: () => actions.choose(query),
      onpointerenter: () => actions.hover({ kind: "query", query }),
      onpointerleave: () => actions.hover(undefined),
    },
      h("th", { scope: "row" }, button), h("td", {}, said),
      h("td", { class: "p" }, h("span", { class: "track" }, bar, tick), share),
      h("td", { class: "over" }, curve(scene, query, here)),
    );
    return { element, button, said, bar, share, here, query };
  }

  update({ boundary, state, lit, paint, veiled = false }: Frame): void {
    const { scene } = this;
    const other = veiled ? undefined : paint?.answers;
    this.usual.hidden = this.detail.hidden = this.total.hidden = this.guess.hidden = Boolean(other);
    say(this.element.querySelector("h2")!, other?.title ?? TITLE);
    if (this.instead.firstChild !== (other?.element ?? null)) this.instead.replaceChildren(...(other ? [other.element] : []));
    const key = `${boundary} ${state.query} ${lit?.query} ${veiled}`;
    if (key === this.seen) return;
    this.seen = key;
    this.veil.hidden = !veiled;
    say(this.total, veiled ? "" : `${score(scene, boundary)} of ${scene.queries.length} right.`);
    for (const row of this.rows) {
      const right = !veiled && isRight(scene, boundary, row.query);
      const p = number(scene, "right_probability", boundary, row.query);
      flag(row.element, "good", right);
      flag(row.element, "chosen", row.query === state.query);
      flag(row.element, "lit", row.query === lit?.query);
      say(row.said, saidWords(scene, boundary, row.query));
      row.bar.style.transform = `scaleX(${p || 0})`;
      say(row.share, percent(p));
      const x = at(scene, boundary).toFixed(1);
      attribute(row.here, "x1", x);
      attribute(row.here, "x2", x);
      attribute(row.button, "aria-label", veiled ? undefined : answerLabel(scene, boundary, row.query));
      attribute(row.button, "aria-pressed", String(row.query === state.query));
    }
    this.consider(boundary, state.query);
  }

  /** The distribution over answers of the chosen question. */
  private consider(boundary: number, query: number): void {
    const { scene } = this;
    const shares = block(scene, "probability", boundary, query);
    if (!shares || !scene.queries[query]) return;
    if (this.detailOf !== query) {
      this.detailOf = query;
      this.columns.length = 0;
      const right = scene.queries[query].answer;
      const bars = scene.candidates.map((name) => {
        const bar = h("i", {}), share = h("span", { class: "number" });
        this.columns.push({ bar, share });
        return h("li", { class: name === right || !scene.one_symbol && name.length === 1 && right.startsWith(name) ? "right" : "" },
          share, h("span", { class: "column" }, bar), h("b", {}, name === "other" ? "rest" : name));
      });
      this.detail.replaceChildren(
        h("h3", {}, `What it considers${scene.one_symbol === false ? " for the first symbol" : ""}: ${scene.queries[query].label}?`),
        h("ol", bars.length > 16 ? { class: "many", tabindex: 0, role: "list", "aria-label": "Probability of each answer" } : {}, ...bars),
        h("p", { class: "note" }, `${scene.queries[query].short}: ${turnsRight(scene, query)}. The right answer is ${right}.`),
      );
    }
    this.columns.forEach(({ bar, share }, candidate) => {
      bar.style.transform = `scaleY(${shares[candidate] || 0})`;
      say(share, shares[candidate] >= 0.05 ? percent(shares[candidate]).replace(" %", "") : "");
    });
  }
}

function at(scene: Scene, boundary: number): number {
  return 3 + ((WIDTH - 6) * boundary) / Math.max(1, scene.boundaries.length - 1);
}

/** The right answer's probability along the sleep, with a mark where it turns right for good. */
function curve(scene: Scene, query: number, here: SVGElement): SVGElement {
  const y = (p: number) => HEIGHT - 3 - (HEIGHT - 6) * (p || 0);
  const points = scene.boundaries.map((_, boundary) => `${at(scene, boundary).toFixed(1)} ${y(number(scene, "right_probability", boundary, query)).toFixed(1)}`);
  const from = rightFrom(scene, query);
  const mark = from >= 0
    ? s("circle", { class: "turn", r: 3.2, cx: at(scene, from).toFixed(1), cy: y(number(scene, "right_probability", from, query)).toFixed(1) })
    : undefined;
  return s("svg", { class: "curve", viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": turnsRight(scene, query) },
    s("path", { class: "floor", d: `M3 ${HEIGHT - 3}H${WIDTH - 3}` }), here, s("path", { class: "line", d: `M${points.join("L")}` }), mark);
}
