// What has become of an item's words. Pure.

import { cached, type Fate } from "../data/cache";
import type { Scene } from "../data/scene";

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
