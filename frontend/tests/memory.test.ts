import assert from "node:assert/strict";
import { test } from "node:test";
import { elsewhere, isDrawn, NAMES, titleOf } from "../src/lenses/memory/names";
import { together } from "../src/lenses/memory/plotly";

const plot = (figures: string[], at: number[]) => ({ label: "", figures: figures as any, at, moving: null });

test("two answers about the same place are put together without drawing a figure twice", () => {
  const first = { shows: "a", omits: "b", plots: [plot(["two"], [-1, 0, -1])] };
  const every = { shows: "a", omits: "b", plots: [plot(["two", "none", "three"], [1, 0, 2])] };
  assert.deepEqual(together(first, every).plots[0], plot(["two", "none", "three"], [1, 0, 2]));
  const some = { ...every, plots: [plot(["x"], [0, -1, -1])] };
  assert.deepEqual(together(first, some).plots[0].at, [1, 0, -1]);
});

test("every instrument has a name, and a place where it is drawn", () => {
  for (const name of NAMES) {
    assert.ok(titleOf(name));
    if (!isDrawn(name)) assert.match(elsewhere(name, false), /workbench\.figures\.\w+ .*Explore/);
  }
});
