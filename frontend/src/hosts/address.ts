// The page's address: which steps of a reader make an entry in the browser's history. Pure.

import type { Address } from "../data/place";

/** Names that say which text is read by which model; another one is another entry. */
const SLEEP = ["model", "seed", "example", "input", "queries"];

/** What tells one text and model from another. */
export function sleepOf(place: Address): string {
  return JSON.stringify(SLEEP.map((name) => String(place[name] ?? "")));
}

/** Whether a place has the text and model that an address names, as far as it names them. */
export function leadsTo(address: Address, place: Address): boolean {
  return SLEEP.every((name) => (address[name] ?? "") === "" || String(address[name]) === String(place[name]));
}

/** The place that an address names. */
export function fromSearch(search: string): Address {
  return Object.fromEntries(new URLSearchParams(search));
}

/** A place with the reader's own text as it was typed. */
export function asTyped(place: Address, own: Address): Address {
  return place.input && own.input ? { ...place, input: own.input, queries: own.queries } : place;
}

/** The address of a place. */
export function toSearch(place: Address): string {
  const known = Object.entries(place).filter(([, value]) => value !== undefined && value !== "" && value !== null);
  return `?${new URLSearchParams(known.map(([name, value]) => [name, String(value)]))}`;
}
