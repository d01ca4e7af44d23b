// The story's scenes, as `workbench/theatre/story.py` gives them. Pure.

import type { Address } from "../data/place";
import { isTyped, type Scene } from "../data/scene";

export interface StoryScene {
  title: string;
  sentence: string;
  question: string;
  choices: string[];
  /** Index of the choice that comes true. */
  right: number;
  why: string;
  /** Where the theatre stands while the prediction is open. */
  place: Address;
  /** What changes once it is made. */
  then: Address;
  evidence?: string;
  /** Where the evidence is in the dashboards. */
  page?: string;
}

export interface Story {
  scenes: StoryScene[];
  /** Address of the dashboards, before `explore`; left out where no server is. */
  site?: string;
}

/** The place of a scene: before its prediction is made, or after. */
export function placeOf(scene: StoryScene, made: boolean): Address {
  return made ? { ...scene.place, ...scene.then } : scene.place;
}

/** Whether an address is still where a scene put it; the scene may leave names open. */
export function isAt(address: Address, place: Address): boolean {
  return Object.entries(place).every(([name, value]) => String(value) === String(address[name]));
}

/** The sleep among those at hand that a place means. */
export function sceneAt(scenes: Scene[], place: Address): Scene | undefined {
  return scenes.find((one) => one.model.name === place.model && one.sleep.passes === Number(place.N)
    && (place.input || isTyped(one) ? one.task.input === place.input && (one.task.queries ?? "") === (place.queries ?? "")
      : one.source.seed === Number(place.seed) && one.source.example === Number(place.example)));
}

/** What to ask a host for, to get the sleep of a place. */
export function askOf({ model, seed, example, input, queries, N }: Address): { [name: string]: unknown } {
  const text = input ? { input, queries: queries ?? "" } : { seed: Number(seed ?? 0), example: Number(example ?? 0) };
  return { name: model, ...text, ...(N ? { N: Number(N) } : {}) };
}

/** The address of a place in Explore. */
export function exploreAddress(site: string, place: Address): string {
  const known = Object.entries(place).filter(([, value]) => value !== undefined).map(([name, value]) => [name, String(value)]);
  return `${site}explore?${new URLSearchParams(known)}`;
}

/** The scene that an address names, counted from 1 there; -1 where it names none of them. */
export function sceneOf(address: Address, count: number): number {
  const found = Number(address.scene ?? 0);
  return Number.isInteger(found) && found >= 1 && found <= count ? found - 1 : -1;
}

/** The letter of a choice, which is also its key. */
export function letter(choice: number): string {
  return String.fromCharCode(65 + choice);
}

/** "Right.", or what would have been. */
export function verdict(scene: StoryScene, choice: number): string {
  return choice === scene.right ? "Right." : `Not quite: ${letter(scene.right)} is right.`;
}
