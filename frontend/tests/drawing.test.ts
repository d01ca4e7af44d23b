import assert from "node:assert/strict";
import test from "node:test";
import { cached, fate, fateOf } from "../src/data/cache";
import { along, diverging, hex, pixel } from "../src/colours";
import { lit, sharesOfAll, writersOf, written } from "../src/data/focus";
import { limit, shown } from "../src/matrix";
import { chain } from "../src/problem/chain";
import { inOrder } from "../src/problem/graph";
import { words } from "../src/problem/passage";
import { positions } from "../src/scrubber";
import { groups, role } from "../src/text";
import { header, scene } from "./made";

const PLACE = { boundary: 1, layer: 0, head: 0, query: 0, show: "state" as const, lens: "memory" as const, chosen: {} };

test("what is in the cache, and what is forgotten", () => {
  const found = scene();
  assert.deepEqual([0, 1, 2, 3, 4].map((boundary) => cached(found, boundary)), [[0, 0], [0, 2], [0, 2], [2, 2], [2, 4]]);
  assert.deepEqual([0, 1, 3].map((boundary) => fate(found, 0, boundary)), ["next", "cached", "forgotten"]);
  assert.deepEqual([0, 1, 3].map((boundary) => fateOf(found, 0, boundary)), ["coming", "cached", "forgotten"]);
  const sliding = scene({ sleep: { ...header().sleep, eviction: "sliding", window: 3 } });
  assert.deepEqual(cached(sliding, 3), [0, 2]);
});

test("a token's write is beta k v^T", () => {
  // token 0 in pass 1: 0.5 * 2 * (3, 4); token 1: 0.1 * 1 * (1, 0)
  assert.deepEqual([...written(scene(), 1, 0, 0, [0])!], [3, 4]);
  assert.ok(Math.abs(written(scene(), 1, 0, 0, [0, 1])![0] - 3.1) < 1e-6);
  assert.equal(written(scene(), 1, 0, 0, [2]), undefined);
});

test("a cell of S leads to the tokens that write to it", () => {
  assert.deepEqual([...writersOf(scene(), PLACE, 0, 1)], [[0, 1]]);
  const both = writersOf(scene(), { ...PLACE, boundary: 2 }, 0, 1);
  assert.deepEqual([...both.keys()], [0, 1]);
});

test("a focus lights up what belongs together", () => {
  const token = lit(scene(), PLACE, { kind: "token", token: 1 })!;
  assert.deepEqual([[...token.items], token.query, token.share(0, 0)], [[0], undefined, 0.75]);
  const answer = lit(scene(), PLACE, { kind: "token", token: 3 })!;
  assert.equal(answer.query, 0);
  const query = lit(scene(), PLACE, { kind: "query", query: 1 })!;
  assert.deepEqual([...query.tokens.keys()], [0, 1]);
  assert.equal(lit(scene(), PLACE, undefined), undefined);
});

test("shares of all of S", () => {
  assert.deepEqual([...sharesOfAll(scene(), 1)!], [0.25, 0.75, 0, 0]);
  assert.equal(sharesOfAll(scene(), 0), undefined);
});

test("S, its change in a pass and over the sleep", () => {
  const found = scene();
  assert.deepEqual([...shown(found, 2, 0, 0, "state")!], [3, 6]);
  assert.deepEqual([...shown(found, 2, 0, 0, "change")!], [0, 2]);
  assert.deepEqual([...shown(found, 2, 0, 0, "sleep_change")!], [3, 6]);
  assert.deepEqual([...shown(found, 3, 0, 0, "change")!], [0, 0]);
  assert.deepEqual([limit(found, 0, "state"), limit(found, 0, "change")], [6, 4]);
});

test("colours lie between their neighbours, zero in the middle, ends clamped", () => {
  assert.deepEqual(hex("#ff8000"), [255, 128, 0]);
  assert.deepEqual(along(["#000000", "#ffffff"], 0.5), [128, 128, 128]);
  const scale = diverging("light");
  const rgb = (value: number) => [value & 255, (value >> 8) & 255, (value >> 16) & 255];
  assert.deepEqual(rgb(pixel(scale, 0, 1)), hex("#f7f7f5"));
  assert.deepEqual(rgb(pixel(scale, 99, 1)), hex("#662506"));
  assert.equal(pixel(scale, NaN, 1), 0);
});

test("the looks of each token", () => {
  const found = scene();
  assert.deepEqual([0, 2, 3].map((token) => role(found, token)), ["", "mark", "answer"]);
  assert.equal(role(scene({ valid: [0, 1, 1, 1] }), 0), "pad");
  const cells = { ...header().picture, kind: "cells", items: [{ name: "", tokens: [0, 2], rows: [[1, 0]], target: [0, 0] }] };
  assert.deepEqual([0, 1].map((token) => role(scene({ picture: cells, symbols: ["1", "0", "?", "b"] }), token)), ["bit on", "bit"]);
  assert.deepEqual(groups(found), [[0, 2], [2, 4]]);
});

test("nodes follow the arrows", () => {
  assert.deepEqual(inOrder([{ source: "a", target: "c" }, { source: "b", target: "a" }, { source: "c", target: "b" }]), ["a", "c", "b"]);
});

test("a row for each depth", () => {
  const say = (subject: string | undefined, depth = 1, parents: number[] = []) => ({ name: "", tokens: [0, 1] as [number, number], subject, value: "1", depth, parents });
  const items = [say("x"), say("y", 2, [0]), say(undefined), say("z", 2, [0]), say("w")];
  const query = { ...scene().queries[0], path: [0, 1], parents: [1] };
  const layout = chain(items, query)!;
  assert.deepEqual([0, 1, 3, -1].map((item) => layout.nodes.get(item)!.y), [22, 70, 70, 118]);
  assert.deepEqual(layout.edges, [[0, 1, true], [0, 3, false], [1, -1, true]]);
});

test("a passage reads as text", () => {
  const found = scene({ symbols: ["H", "i", "\u2423", "!"], marks: [] });
  assert.equal(words(found, -5, 9), "Hi !");
});

test("windows are apart on the line", () => {
  const at = positions(scene());
  assert.deepEqual(at.slice(0, 3), [0, 1, 2]);
  assert.ok(at[3] - at[2] > 1.5);
});
