import assert from "node:assert/strict";
import test from "node:test";
import { fromAddress, hardest, matching, opening, Store, toAddress } from "../src/data/place";
import { header, scene } from "./made";

test("an address leads to the place that it came from", () => {
  const found = scene();
  const place = { boundary: 4, layer: 0, head: 0, query: 1, show: "change" as const, lens: "memory" as const, chosen: {} };
  const address = toAddress(found, place);
  assert.deepEqual(address, { model: "m", seed: 0, example: 3, N: 2, window: 1, pass: 1, layer: 3, head: 0, query: 1, show: "change", lens: "memory" });
  assert.deepEqual(fromAddress(found, address), [place, []]);
});

test("the address of a typed text is the text itself", () => {
  const typed = scene({ source: { ...header().source, seed: -1 } });
  const address = toAddress(typed, { boundary: 0, layer: 0, head: 0, query: 0, show: "state", lens: "memory", chosen: {} });
  assert.deepEqual([address.input, address.queries, address.seed], ["a>b", "1:a", undefined]);
});

test("an empty address opens after the first pass of the first sleep, at the hardest answer that comes right", () => {
  const [place, wrong] = fromAddress(scene(), {});
  assert.deepEqual([place.boundary, place.query, wrong], [1, 1, []]);
  assert.equal(opening(scene()), 1);
  assert.equal(hardest(scene()), 1);
});

test("an address keeps what is chosen in its lens, and only that", () => {
  const found = scene();
  const [place, wrong] = fromAddress(found, { lens: "cause", donor: "0", part: "head", to: "passes" });
  assert.deepEqual([place.lens, place.chosen, wrong], ["cause", { donor: "0", part: "head", to: "passes" }, []]);
  const { donor, part, to, lens } = toAddress(found, place);
  assert.deepEqual([lens, donor, part, to], ["cause", "0", "head", undefined]);
  assert.match(fromAddress(found, { lens: "magic" })[1][0], /lens = magic is unknown; memory, cause, credit exist/);
});

test("what does not exist is put right, and said", () => {
  const [place, wrong] = fromAddress(scene(), { window: 9, pass: "x", layer: 5, head: 7, show: "spectra" });
  assert.deepEqual([place.boundary, place.layer, place.head, place.show], [4, 0, 0, "state"]);
  assert.equal(wrong.length, 5);
  assert.match(wrong[0], /window = 9 does not exist here; 1 is shown/);
});

test("another N keeps the moment: the end stays the end", () => {
  const four = scene();
  const boundaries = [[0, 0], [0, 1], [1, 0], [1, 1]];
  const entries = [{ ...header().entries[0], passes: 1 }, header().entries[1]];
  // only the places matter here
  const one = { ...four, boundaries: boundaries as [number, number][], entries };
  assert.equal(matching(four, 2, one), 1);
  assert.equal(matching(four, 1, one), 1);
  assert.equal(matching(one, 1, four), 2);
  assert.equal(matching(four, 4, one), 3);
});

test("a state that is set often is drawn once, and not at all where nothing changes", () => {
  const queue: (() => void)[] = [], drawn: number[] = [];
  const store = new Store({ boundary: 0, layer: 0, head: 0, query: 0, show: "state", lens: "memory", chosen: {}, playing: false },
    (now) => drawn.push(now.boundary), (run) => queue.push(run));
  store.set({ boundary: 0 });
  store.set({ boundary: 1 });
  store.set({ boundary: 2, hover: { kind: "token", token: 1 } });
  assert.equal(queue.length, 1);
  queue.pop()!();
  assert.deepEqual(drawn, [2]);
  store.set({ hover: { kind: "token", token: 1 } });
  assert.equal(queue.length, 0);
});
