// The same place in Python: what makes the scene again, and where in it we are.

import type { Place } from "./place";
import type { Scene } from "./scene";

export function python(scene: Scene, place: Place): string {
  const [entry, pass] = scene.boundaries[place.boundary];
  const lines = scene.source.python ?? "";
  const made = (typeof lines === "string" ? lines : lines.join("\n")).trimEnd();
  return `${made}\n\nwindow, sleep_pass, layer, gdn_head, query = ${entry}, ${pass}, ${scene.layers[place.layer]}, ${place.head}, ${place.query}\n`;
}
