// While a pass is played, what the text says moves into S: one dot for each thing it says.

import { h } from "../dom";
import type { Scene } from "../data/scene";

const MOST = 24;
const STILL = "(prefers-reduced-motion: reduce)";

/** Whether the reader asked for less motion. */
export function still(): boolean {
  return matchMedia(STILL).matches;
}

/** Send dots from the text of a window to the memory; nothing where either is out of sight. */
export function flow(root: HTMLElement, scene: Scene, boundary: number): void {
  const [entry, pass] = scene.boundaries[boundary];
  const { start, stop, awake } = scene.entries[entry];
  const target = root.querySelector(".memory canvas")?.getBoundingClientRect();
  if (pass === 0 || awake || !target?.width || still()) return;
  const frame = root.getBoundingClientRect();
  const inside = scene.picture.items.filter(({ tokens: [a] }) => a >= start && a < stop);
  const every = Math.ceil(inside.length / MOST);
  inside.filter((_, i) => i % every === 0).forEach(({ tokens: [a] }, i) => {
    const from = root.querySelector(`[data-token="${a}"]`)?.getBoundingClientRect();
    if (!from?.width) return;
    const dot = h("i", { class: "dot", "aria-hidden": "true" });
    const at = (x: number, y: number) => `translate(${(x - frame.left).toFixed(0)}px, ${(y - frame.top).toFixed(0)}px)`;
    // each dot has its row of the matrix, so that they do not land on one point
    const landing = target.top + (target.height * ((i % 8) + 0.5)) / 8;
    root.append(dot);
    const move = dot.animate([
      { transform: at(from.right, from.top + from.height / 2), opacity: 0 },
      { opacity: 1, offset: 0.15 },
      { transform: at(target.left + target.width / 2, landing), opacity: 0.1 },
    ], { duration: 620, delay: 35 * i, easing: "cubic-bezier(.4, 0, .5, 1)", fill: "both" });
    move.onfinish = move.oncancel = () => dot.remove();
  });
}
