// What a lens asks its host: again when something else is chosen, with how far the host is.

import type { Ask } from "../asks";
import { copyButton, h, quiet, say } from "../dom";
import { saveText } from "../export/menu";
import type { Actions } from "../panel";
import { progressWords } from "./words";

const MOST = 48;
const SETTLED_MS = 220;

export class Question {
  /** How far the host is, what went wrong, and a way to stop or to ask again. */
  readonly status = h("div", { class: "status", role: "status" });
  /** The newest answer; of an older question while `waiting`. */
  result?: any;
  waiting = false;
  private readonly words = h("span", {});
  private readonly bar = h("progress", { max: 1, "aria-label": "Progress" });
  private readonly stop = quiet("Cancel", () => this.cancel());
  private readonly again = quiet("Ask again", () => this.send());
  private readonly known = new Map<string, any>();
  private current?: Ask;
  private key = "";
  private timer = 0;

  /** `kind`: a newer question of the same kind takes an older one's place. */
  constructor(private readonly kind: string, private readonly actions: Actions) {
    this.status.append(this.words, this.bar, this.stop, this.again);
    this.show("");
  }

  /** Ask, unless this was asked last; what is known already is there at once. */
  ask(ask: Ask): void {
    const key = JSON.stringify(ask);
    if (key === this.key) return;
    clearTimeout(this.timer);
    this.actions.drop(this.kind);
    this.key = key;
    this.current = ask;
    this.waiting = !this.known.has(key);
    this.show("");
    if (!this.waiting) this.result = this.known.get(key);
    else this.timer = window.setTimeout(() => this.send(), SETTLED_MS);
  }

  private send(): void {
    const { key, current } = this;
    if (!current || !this.actions.ask) return;
    this.waiting = true;
    this.show("Asking …");
    this.actions.ask(current, ({ result, problem }) => {
      this.waiting = false;
      this.result = result ?? { problem: problem ?? "The host sent no answer." };
      if (result) this.known.set(key, result);
      if (this.known.size > MOST) this.known.delete(this.known.keys().next().value!);
      this.show("");
      this.actions.redraw();
    }, (progress) => this.show(progressWords(progress), progress.total ? progress.done / progress.total : undefined), this.kind);
    this.actions.redraw();
  }

  cancel(): void {
    clearTimeout(this.timer);
    this.actions.drop(this.kind);
    this.waiting = false;
    this.show("Cancelled; nothing is kept.", undefined, true);
  }

  private show(words: string, share?: number, cancelled = false): void {
    this.status.hidden = !words;
    say(this.words, words);
    this.bar.hidden = cancelled;
    if (share === undefined) this.bar.removeAttribute("value");
    else this.bar.value = share;
    this.stop.hidden = cancelled;
    this.again.hidden = !cancelled;
  }

  /** A button that saves the numbers of the current question as CSV. */
  csv(): HTMLElement {
    return quiet("Data (CSV)", () => this.current && this.actions.ask?.({ ...this.current, csv: true }, ({ result }) => {
      if (result?.csv) saveText(result.file, result.csv, "text/csv");
    }, undefined, `${this.kind} csv`));
  }

  /** A button that copies the current question as Python. */
  python(): HTMLElement {
    return copyButton("Copy as Python", () => this.result?.python ?? "");
  }

  destroy(): void {
    clearTimeout(this.timer);
    this.actions.drop(this.kind);
  }
}
