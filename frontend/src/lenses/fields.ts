// The fields of a lens: each is one name of the address, and says what is wrong with it.

import type { Address } from "../data/place";
import { attribute, h, options, say } from "../dom";

export interface Field {
  name: string;
  element: HTMLElement;
  input: HTMLSelectElement | HTMLInputElement;
}

/** A choice; `also` names what no longer holds once another one is chosen. */
export function select(name: string, label: string, choose: (part: Address) => void, also: string[] = []): Field {
  const input = h("select", {});
  input.addEventListener("change", () => choose({ ...Object.fromEntries(also.map((one) => [one, undefined])), [name]: input.value }));
  return { name, input, element: h("label", {}, `${label} `, input) };
}

export function whole(name: string, label: string, choose: (part: Address) => void, least: number): Field {
  const input = h("input", { type: "number", min: least, step: 1 });
  input.addEventListener("change", () => choose({ [name]: input.value }));
  return { name, input, element: h("label", {}, `${label} `, input) };
}

export function fill(field: Field, all: [string, string][], chosen: string): void {
  // what was given stays visible, even if it is not on offer
  const offered = all.some(([value]) => value === chosen) || !chosen;
  options(field.input as HTMLSelectElement, offered ? all : [...all, [chosen, chosen]], chosen);
}

export function set(field: Field, value: string | number): void {
  if (document.activeElement !== field.input && field.input.value !== String(value)) field.input.value = String(value);
}

/** One line on what is wrong, and the field that it is about. */
export class Problem {
  readonly element = h("p", { class: "problem", role: "alert" });

  constructor(private readonly fields: Field[]) {}

  show(words: string, name: string): void {
    say(this.element, words);
    for (const field of this.fields) attribute(field.input, "aria-invalid", words && field.name === name ? "true" : undefined);
  }
}

/** Values as an ask has them: whole numbers as numbers, the rest as it is. */
export function given(address: Address, names: string[]): { [name: string]: unknown } {
  const found: { [name: string]: unknown } = {};
  for (const name of names) {
    const value = address[name];
    if (value !== undefined && value !== "") found[name] = typeof value === "string" && /^-?\d{1,9}$/.test(value) ? Number(value) : value;
  }
  return found;
}
