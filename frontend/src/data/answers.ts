// What a scene says of answers: how many are right, and from which boundary on. Pure.

import { number, type Scene } from "./scene";

export function isRight(scene: Scene, boundary: number, query: number): boolean {
  return number(scene, "correct", boundary, query) === 1;
}

export function isGiven(scene: Scene, boundary: number, query: number): boolean {
  return number(scene, "given", boundary, query) === 1;
}

export function score(scene: Scene, boundary: number): number {
  return scene.queries.reduce((sum, _, query) => sum + Number(isRight(scene, boundary, query)), 0);
}

/** Queries that this boundary has turned right, and those it has turned wrong. */
export function turned(scene: Scene, boundary: number): { right: number[]; wrong: number[] } {
  const right: number[] = [], wrong: number[] = [];
  if (boundary > 0) {
    scene.queries.forEach((_, query) => {
      const before = isRight(scene, boundary - 1, query), now = isRight(scene, boundary, query);
      if (now && !before) right.push(query);
      if (before && !now) wrong.push(query);
    });
  }
  return { right, wrong };
}

/** The boundary from which an answer stays right to the end; -1 if it is wrong at the end. */
export function rightFrom(scene: Scene, query: number): number {
  let from = -1;
  for (let boundary = scene.boundaries.length - 1; boundary >= 0 && isRight(scene, boundary, query); boundary--) from = boundary;
  return from;
}

/** Queries as the rows of a table: easy first, in their order. */
export function rows(scene: Scene): number[] {
  return scene.queries.map((_, query) => query).sort((a, b) => scene.queries[a].difficulty - scene.queries[b].difficulty || a - b);
}

/** How likely a guess is right, on average; NaN where it is unknown. */
export function chance(scene: Scene): number {
  const known = scene.queries.map((query) => query.chance).filter((one): one is number => typeof one === "number");
  return known.length && known.length === scene.queries.length ? known.reduce((a, b) => a + b, 0) / known.length : NaN;
}
