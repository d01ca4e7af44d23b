import assert from "node:assert/strict";
import test from "node:test";
import { toBytes } from "../src/asks";
import { block, fromHalf, number, readContainers, readScenes, sleepKey } from "../src/data/scene";
import { arrays, bytes, header, scene } from "./made";

test("a scene is read with its numbers", () => {
  const found = scene();
  assert.deepEqual([...block(found, "fast_weight", 1, 0, 0)!], [3, 4]);
  assert.equal(number(found, "correct", 2, 1), 1);
  assert.ok(Number.isNaN(number(found, "nothing", 0)));
});

test("containers that follow one another are all read, from any alignment", () => {
  const one = bytes(), all = new Uint8Array(3 + 2 * one.length);
  all.set(one, 3);
  all.set(one, 3 + one.length);
  assert.equal(readScenes(all.subarray(3)).length, 2);
});

test("half precision", () => {
  const known: [number, number][] = [[0x3c00, 1], [0xc000, -2], [0x0001, 2 ** -24], [0x7bff, 65504], [0x3555, 0.333251953125], [0x7c00, Infinity]];
  const found = fromHalf(Uint16Array.from(known.map(([bits]) => bits)));
  known.forEach(([, value], i) => assert.equal(found[i], value));
  assert.ok(Number.isNaN(fromHalf(Uint16Array.of(0x7e00))[0]));
});

const WRONG: [string, Uint8Array, RegExp][] = [
  ["another magic", bytes(header(), arrays(), "sleepsc2"), /not a scene/],
  ["nothing of a file", new Uint8Array(3), /not a scene/],
  ["another schema", bytes({ ...header(), schema: "sleep-scene/9" }), /schema "sleep-scene\/9"/],
  ["a file cut short", bytes().subarray(0, bytes().length - 16), /outside the file/],
  ["no boundaries", bytes({ ...header(), boundaries: undefined }), /without boundaries/],
  ["a boundary that does not exist", bytes({ ...header(), boundaries: [[0, 9]] }), /pass 9/],
  ["a window outside the text", bytes({ ...header(), entries: [{ window: 0, start: 0, stop: 9, awake: false, passes: 2 }] }), /to 9 of 4/],
  ["a path outside the picture", bytes({ ...header(), queries: [{ ...header().queries[0], path: [7] }] }), /outside the picture/],
  ["another number of heads", bytes({ ...header(), heads: 2 }), /gdn_head = 1; expected 2/],
  ["a missing array", bytes(header(), without("norm")), /without norm/],
  ["another order of axes", bytes(header(), { ...arrays(), correct: { ...arrays().correct, dims: ["query", "boundary"] } }), /correct over/],
  ["an unknown dtype", bytes(header(), { ...arrays(), norm: { ...arrays().norm, dtype: "float64" as never } }), /dtype "float64"/],
];

function without(name: string) {
  const all = arrays();
  delete all[name];
  return all;
}

for (const [what, data, message] of WRONG) {
  test(`refused: ${what}`, () => assert.throws(() => readScenes(data), { message }));
}

test("a header above 4 MiB is refused before it is read", () => {
  const data = bytes();
  new DataView(data.buffer).setUint32(8, 5 * 1024 * 1024, true);
  assert.throws(() => readScenes(data), /at most 4194304/);
});

test("a patch is a container that need not be a scene, and fills in one head", () => {
  const states = { fast_weight: { dtype: "float32" as const, dims: ["boundary", "layer", "gdn_head", "key", "value"], shape: [5, 1, 1, 1, 2], values: [0, 0, 1, 2, 3, 4, 5, 6, 7, 8] } };
  const [patch] = readContainers(bytes({ schema: "sleep-scene/1", patch: "states" }, states));
  const found = readScenes(bytes(header(), without("fast_weight")))[0];
  assert.equal(block(found, "fast_weight", 2, 0, 0), undefined);
  found.patches.set("0 0", patch.arrays);
  assert.deepEqual([...block(found, "fast_weight", 2, 0, 0)!], [3, 4]);
});

test("sleeps of one text that differ in N have one key", () => {
  assert.equal(sleepKey(scene()), sleepKey(scene({ sleep: { ...header().sleep, passes: 5 } })));
  assert.notEqual(sleepKey(scene()), sleepKey(scene({ source: { ...header().source, example: 4 } })));
});

test("bytes come as any host hands them over", () => {
  const given = Uint8Array.of(1, 2, 3);
  for (const form of [given, given.buffer, new DataView(given.buffer), "AQID"]) assert.deepEqual([...toBytes(form)], [1, 2, 3]);
  assert.equal(toBytes(null).length, 0);
});
