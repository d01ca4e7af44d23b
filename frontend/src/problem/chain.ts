// What follows from what: where each quantity stands. Pure.

import type { Item, Query } from "../data/scene";

const MOST_NODES = 24;
const ROW = 48, LETTER = 7.4, GAP = 12;

export interface Node {
  x: number;
  y: number;
  width: number;
  text: string;
  on: boolean;
}

export interface Layout {
  /** By item; -1 is what is asked, where no item says it. */
  nodes: Map<number, Node>;
  edges: [number, number, boolean][];
  width: number;
  height: number;
}

/** A row for each depth, the given quantities on top; of many, only those on the path. */
export function chain(items: Item[], query: Query): Layout | undefined {
  let chosen = items.map((_, i) => i).filter((i) => items[i].subject !== undefined);
  if (chosen.length > MOST_NODES) chosen = chosen.filter((i) => query.path.includes(i));
  if (!chosen.length || chosen.length < query.path.length) return undefined;
  const short = Math.max(...chosen.map((i) => items[i].subject!.length)) <= 5;
  const text = new Map(chosen.map((i) => [i, `${short ? items[i].subject : `(${i + 1})`} = ${items[i].value}`]));
  const depth = new Map(chosen.map((i) => [i, items[i].depth ?? 1]));
  const edges: [number, number][] = chosen.flatMap((i) => (items[i].parents ?? []).filter((p) => depth.has(p)).map((p): [number, number] => [p, i]));
  const on = new Set(query.path);
  if (query.parents.length) {
    text.set(-1, `asked = ${query.answer}`);
    depth.set(-1, 1 + Math.max(...query.parents.map((p) => depth.get(p) ?? 0)));
    query.parents.forEach((p) => void (depth.has(p) && edges.push([p, -1])));
    on.add(-1);
  }
  const wide = (i: number) => LETTER * text.get(i)!.length + 16;
  const levels = [...new Set(depth.values())].sort((a, b) => a - b);
  const rows = levels.map((level) => [...depth.keys()].filter((i) => depth.get(i) === level));
  const width = Math.max(260, ...rows.map((row) => row.reduce((sum, i) => sum + wide(i) + GAP, 0)));
  const middle = new Map<number, number>();
  const spread = (row: number[]) => {
    const room = (width - row.reduce((sum, i) => sum + wide(i), 0)) / row.length;
    let left = room / 2;
    for (const i of row) {
      middle.set(i, left + wide(i) / 2);
      left += wide(i) + room;
    }
  };
  rows.forEach(spread);
  for (const order of [rows, [...rows].reverse(), rows]) {
    for (const row of order) {
      const pull = new Map(row.map((i) => {
        const near = edges.filter((edge) => edge.includes(i)).map(([a, b]) => middle.get(a === i ? b : a)!);
        return [i, near.length ? near.reduce((a, b) => a + b, 0) / near.length : middle.get(i)!];
      }));
      row.sort((a, b) => pull.get(a)! - pull.get(b)!);
      spread(row);
    }
  }
  const nodes = new Map([...text].map(([i, words]): [number, Node] => [i, {
    x: middle.get(i)!, y: 22 + ROW * levels.indexOf(depth.get(i)!), width: wide(i), text: words, on: on.has(i),
  }]));
  return { nodes, width, height: 44 + ROW * (levels.length - 1), edges: edges.map(([a, b]) => [a, b, on.has(a) && on.has(b)]) };
}
