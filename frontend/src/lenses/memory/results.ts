// What the host says of one instrument at one head: two sentences, and its figures at the boundaries.

import type { Plot } from "./plotly";

export interface Result {
  shows: string;
  omits: string;
  plots: Plot[];
}

/** Two answers about the same place: what the first had not drawn is taken from the second. */
export function together(first: Result, second: Result): Result {
  const plots = first.plots.map((plot, i): Plot => {
    const other = second.plots[i], figures = [...plot.figures], moved = new Map<number, number>();
    const at = plot.at.map((index, boundary) => {
      const there = other.at[boundary];
      if (index >= 0 || there < 0) return index;
      if (!moved.has(there)) moved.set(there, figures.push(other.figures[there]) - 1);
      return moved.get(there)!;
    });
    return { ...plot, figures, at };
  });
  return { ...first, plots };
}
