// The answers before and after a change and with its control, side by side; effect minus control as a bar.

import { rows as easyFirst } from "../../data/answers";
import { h, scrolled } from "../../dom";
import type { Scene } from "../../data/scene";
import { nats } from "../words";

interface Outcome {
  axis: string;
  columns: [name: string, title: string][];
  rows: { query: number; own: string | null; other: string | null; said: string[]; logit: (number | null)[]; effect: number | null }[];
}

/** How an answer looks: right here, right in the other context, or neither. */
export function look(said: string, own: string | null, other: string | null): string {
  return said === own ? "good" : said === other ? "given" : "bad";
}

/** The largest effect of all rows, so that one scale fits. */
export function most(rows: Outcome["rows"]): number {
  return Math.max(0.01, ...rows.map((row) => Math.abs(row.effect ?? 0)));
}

/** The first three columns are before, after and the control; the rest stands in the table of all logits. */
export function answersTable(scene: Scene, { columns, rows }: Outcome, choose: (query: number) => void): HTMLElement {
  const shown = columns.slice(0, 3), patched = rows.some((row) => row.other !== null), limit = most(rows);
  const heads = ["Question", ...shown.map(([, title]) => title), "Effect − control"];
  const order = easyFirst(scene).flatMap((query) => rows.filter((row) => row.query === query));
  const body = order.map(({ query, own, other, said, effect }) => h("tr", { onclick: () => choose(query) },
    h("th", { scope: "row" }, h("button", { type: "button", class: scene.queries[query].short.length > 16 ? "ask" : "ask whole", title: scene.queries[query].label }, scene.queries[query].short)),
    ...shown.map((_, i) => {
      const kind = look(said[i], own, other);
      return h("td", {}, h("span", { class: `said ${kind}` }, `${said[i]} ${kind === "good" ? "✓" : kind === "given" ? "⇄" : "✗"}`));
    }),
    h("td", { class: "gap" }, bar(effect, limit), h("span", { class: "number" }, nats(effect, 1)))));
  const legend = h("p", { class: "note legend" }, h("span", { class: "said good" }, "✓ right in this text"), " ",
    patched ? h("span", { class: "said given" }, "⇄ right in the other text") : undefined, " ", h("span", { class: "said bad" }, "✗ neither"),
    " · effect − control in nat; – where both texts give the same answer or none");
  const found = scrolled("Answers before, after, and with the control", heads, body, "outcome");
  found.append(legend);
  return found;
}

/** A bar to the right for a positive number, to the left for a negative one. */
function bar(value: number | null, limit: number): HTMLElement {
  const share = Math.min(1, Math.abs(value ?? 0) / limit) / 2;
  const side = (value ?? 0) < 0 ? `right:50%` : `left:50%`;
  return h("span", { class: `twoway ${(value ?? 0) < 0 ? "against" : "for"}`, "aria-hidden": "true" }, h("i", { style: `${side};width:${(100 * share).toFixed(1)}%` }));
}

/** Every logit difference, for those who want all controls. */
export function logitsTable(scene: Scene, { axis, columns, rows }: Outcome): HTMLElement {
  const body = rows.map(({ query, logit, said }) => h("tr", {}, h("th", { scope: "row" }, scene.queries[query].short),
    ...logit.map((value, i) => h("td", {}, `${said[i]} · ${nats(value, 1)}`))));
  return scrolled(`${axis} (nat)`, ["Question", ...columns.map(([, title]) => title)], body, "outcome", true);
}
