// Which answers of a host are taken.

import assert from "node:assert/strict";
import { test } from "node:test";
import { Asks } from "../src/asks";

function host() {
  const sent: number[] = [], taken: string[] = [];
  const asks = new Asks({ get: () => undefined, on: () => {}, send: (message) => sent.push((message as { id: number }).id) });
  const send = (ask: { what: string }, name: string, kind?: string) => asks.send(ask, ({ problem }) => taken.push(`${name} ${problem}`), undefined, kind);
  const answer = () => sent.forEach((id) => asks.receive({ kind: "answer", id, problem: "no" }));
  return { asks, send, answer, taken };
}

test("the newest ask of a kind is answered, and once", () => {
  const { send, answer, taken } = host();
  send({ what: "scene" }, "old");
  send({ what: "scene" }, "new");
  answer();
  answer();
  assert.deepEqual(taken, ["new no"]);
});

test("two scenes side by side both get their states", () => {
  const { send, answer, taken } = host();
  send({ what: "states" }, "left", "states a");
  send({ what: "states" }, "right", "states b");
  answer();
  assert.deepEqual(taken, ["left no", "right no"]);
});

test("an ask that was given up is not answered", () => {
  const { asks, send, answer, taken } = host();
  send({ what: "scene" }, "one");
  asks.drop("scene");
  answer();
  assert.deepEqual(taken, []);
});

test("the host hears what was given up, and says how far it is", () => {
  const sent: unknown[] = [], heard: unknown[] = [];
  const asks = new Asks({ get: () => undefined, on: () => {}, send: (message) => sent.push(message) });
  const credit = { what: "credit" };
  asks.send(credit, () => {});
  asks.send(credit, ({ result }) => heard.push(result), ({ done }) => heard.push(done));
  assert.deepEqual(sent, [{ kind: "ask", id: 1, ask: credit }, { kind: "cancel", id: 1 }, { kind: "ask", id: 2, ask: credit }]);
  asks.receive({ kind: "progress", id: 1, done: 9 } as object);
  asks.receive({ kind: "progress", id: 2, done: 3 } as object);
  asks.receive({ kind: "answer", id: 2, result: { sum: 1 } });
  assert.deepEqual(heard, [3, { sum: 1 }]);
});
