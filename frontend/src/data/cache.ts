// Which tokens are where: read, in the KV cache, forgotten. Pure.

import type { Scene } from "./scene";

export type Fate = "coming" | "next" | "cached" | "forgotten";

/** The tokens that attention can see at a boundary, as [start, stop]. */
export function cached(scene: Scene, boundary: number): [number, number] {
  if (scene.cached) return scene.cached[boundary];
  const [entry, pass] = scene.boundaries[boundary];
  const { start, stop } = scene.entries[entry];
  const kept = scene.sleep.eviction === "hard" ? 0 : Math.min(start, scene.sleep.window - 1);
  return [start - kept, pass === 0 ? start : stop];
}

/** What has become of a window's text at a boundary. */
export function fate(scene: Scene, entry: number, boundary: number): Fate {
  const [now, pass] = scene.boundaries[boundary];
  if (entry > now) return "coming";
  if (entry === now) return pass === 0 ? "next" : "cached";
  const [from] = cached(scene, boundary);
  return from < scene.entries[entry].stop && from < scene.entries[now].start ? "cached" : "forgotten";
}

/** Whether an item is still to come, in the KV cache, or forgotten. */
export function fateOf(scene: Scene, item: number, boundary: number): Fate {
  const [start, stop] = scene.picture.items[item].tokens;
  return fateOfTokens(scene, start, stop, boundary);
}

export function fateOfTokens(scene: Scene, start: number, stop: number, boundary: number): Fate {
  const [from, to] = cached(scene, boundary);
  if (start >= to) return "coming";
  return stop <= from || (from === to && stop <= to) ? "forgotten" : "cached";
}
