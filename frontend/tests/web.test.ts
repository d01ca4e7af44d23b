import assert from "node:assert/strict";
import { test } from "node:test";
import { asTyped, fromSearch, leadsTo, sleepOf, toSearch } from "../src/hosts/address";
import { frames, json } from "../src/hosts/frames";

/** Bytes of frames, in chunks of some length. */
async function* chunks(sent: [string, string][], length: number): AsyncGenerator<Uint8Array> {
  const bytes = Buffer.concat(sent.map(([kind, content]) => {
    const head = Buffer.alloc(5);
    head.writeUInt32LE(Buffer.byteLength(content));
    head.write(kind, 4);
    return Buffer.concat([head, Buffer.from(content)]);
  }));
  for (let at = 0; at < bytes.length; at += length) yield new Uint8Array(bytes.subarray(at, at + length));
}

test("frames are whole however their bytes arrive", async () => {
  const sent: [string, string][] = [["p", '{"done":1}'], ["b", "ä bytes"], ["r", "{}"]];
  for (const length of [1, 3, 7, 1000]) {
    const found: [string, string][] = [];
    for await (const { kind, content } of frames(chunks(sent, length))) found.push([kind, new TextDecoder().decode(content)]);
    assert.deepEqual(found, sent);
  }
  for await (const frame of frames(chunks([["p", '{"done":1}']], 4))) assert.deepEqual(json(frame), { done: 1 });
  async function* half(): AsyncGenerator<Uint8Array> {
    for await (const chunk of chunks(sent, 1000)) yield chunk.subarray(0, -1);
  }
  await assert.rejects(async () => { for await (const _ of frames(half())); }, /in the middle/);
});

test("a step keeps the history's entry, another text or model is a new one", () => {
  const here = { model: "ring", seed: 0, example: 1, N: 4, window: 0, pass: 2, input: "" };
  assert.equal(toSearch(here), "?model=ring&seed=0&example=1&N=4&window=0&pass=2");
  assert.equal(sleepOf(here), sleepOf({ ...here, N: 1, pass: 1 }));
  assert.equal(sleepOf(here), sleepOf(fromSearch(toSearch(here))));
  for (const other of [{ example: 2 }, { model: "rule" }, { seed: 1 }]) assert.notEqual(sleepOf(here), sleepOf({ ...here, ...other }));
  assert.ok(leadsTo({ model: "ring", seed: "0" }, here));
  assert.ok(!leadsTo({ model: "rule", seed: 0 }, here));
});

test("own text stands in the address as it was typed", () => {
  const place = { model: "ring", input: "0>1 1>0", queries: "0 +1", N: 4 };
  assert.equal(toSearch(asTyped(place, { input: " 0>1  1>0", queries: "" })), "?model=ring&input=+0%3E1++1%3E0&N=4");
  assert.equal(asTyped({ model: "ring", seed: 0 }, { input: "old" }).input, undefined);
});
