import assert from "node:assert/strict";
import test from "node:test";
import { exploreAddress, isAt, letter, placeOf, sceneAt, sceneOf, verdict, type StoryScene } from "../src/story/data";
import { scene } from "./made";

const one: StoryScene = {
  title: "T", sentence: "S", question: "Q?", choices: ["x", "y"], right: 1, why: "W",
  place: { model: "m", seed: 0, example: 3, N: 2, window: 0, pass: 1 }, then: { pass: 2 },
};

test("a scene has a place before its prediction and one after", () => {
  assert.equal(placeOf(one, false).pass, 1);
  assert.deepEqual(placeOf(one, true), { ...one.place, pass: 2 });
});

test("what a scene leaves open may change without leaving it", () => {
  assert.ok(isAt({ ...one.place, head: 3 }, one.place));
  assert.ok(isAt({ ...one.place, seed: "0" }, one.place), "an address has texts");
  assert.ok(!isAt({ ...one.place, pass: 2 }, one.place));
});

test("a place names a sleep among those at hand", () => {
  const here = scene();
  assert.equal(sceneAt([here], one.place), here);
  for (const other of [{ model: "n" }, { seed: 1 }, { example: 0 }, { N: 1 }]) assert.equal(sceneAt([here], { ...one.place, ...other }), undefined);
});

test("the address of a scene leads to Explore, and back to the scene", () => {
  assert.equal(exploreAddress("/w/", { model: "a b", N: 4, donor: undefined }), "/w/explore?model=a+b&N=4");
  assert.deepEqual([{}, { scene: "2" }, { scene: "7" }, { scene: "x" }, { scene: 1.5 }].map((address) => sceneOf(address, 6)), [-1, 1, -1, -1, -1]);
});

test("a wrong prediction names the right one", () => {
  assert.equal(verdict(one, 1), "Right.");
  assert.equal(verdict(one, 0), `Not quite: ${letter(1)} is right.`);
});
