import assert from "node:assert/strict";
import test from "node:test";
import { rightFrom, rows, score, turned } from "../src/data/answers";
import { phase } from "../src/headline";
import { python } from "../src/data/place";
import { announcement, answerLabel, eyebrow, headline, listed, news, percent, signed, story, tokenName, trainedNote, turnsRight } from "../src/words";
import { header, scene } from "./made";

test("the sentence says the conclusion first", () => {
  const found = scene();
  const said = [0, 1, 2, 3, 4].map((boundary) => headline(found, boundary));
  assert.deepEqual(said, [
    "If it woke now, it would get none of 2 right.", "If it woke now, it would answer 1 of 2 right.",
    "If it woke now, it would answer all 2 right.", "If it woke now, it would answer all 2 right.", "It has answered: all 2 answers are right.",
  ]);
});

test("a text without questions has no answers to count", () => {
  const found = { ...scene(), queries: [] };
  assert.deepEqual([0, 2].map((boundary) => headline(found, boundary)), Array(2).fill("Nothing is asked here: this is what the sleep writes into S."));
  assert.deepEqual([0, 1, 2].map((boundary) => news(found, boundary)), ["", "", ""]);
});

test("where we are, and what has just happened", () => {
  const found = scene();
  assert.equal(eyebrow(found, 2), "Asleep · window 1 of 2 · pass 2 of 2");
  assert.equal(news(found, 0), "A guess is right in 50 % of cases.");
  assert.equal(news(found, 1), "Before it read, it had to guess: 0 right.");
  assert.equal(news(found, 2), "2 hops from a has just turned right.");
  assert.equal(story(found, 2), "S moved by 6 % of its size. The sleep ends here, and the window is forgotten next.");
  assert.equal(story(found, 3), "The text of window 1 is gone; what it knows of it is in S. It wakes to read the questions.");
  assert.match(announcement(found, 2), /^Asleep, window 1 of 2, pass 2 of 2\. If it woke now/);
  assert.deepEqual([0, 1, 3, 4].map((boundary) => phase(found, boundary)), ["read", "sleep", "forget", "wake"]);
});

test("the pass at which an answer turns right for good", () => {
  const found = scene();
  assert.deepEqual([0, 1].map((query) => rightFrom(found, query)), [1, 2]);
  assert.deepEqual([0, 1].map((query) => turnsRight(found, query)), ["right from pass 1", "right from pass 2"]);
  assert.deepEqual(turned(found, 2), { right: [1], wrong: [] });
  assert.deepEqual([score(found, 0), score(found, 4)], [0, 2]);
  assert.deepEqual(rows(found), [0, 1]);
  assert.equal(answerLabel(found, 1, 1), "2 hops from a: b, wrong, the answer is a; probability of the right answer 30 %; right from pass 2");
});

test("with predict-then-sleep a window is read twice under one number", () => {
  const entries = [{ window: 0, start: 0, stop: 2, awake: true, passes: 1 }, { window: 0, start: 0, stop: 2, awake: false, passes: 2 }];
  const found = scene({ entries, boundaries: [[0, 0], [0, 1], [1, 0], [1, 1], [1, 2]], sleep: { ...header().sleep, order: "predict_then_sleep" } });
  assert.equal(eyebrow(found, 4), "Asleep · window 1 of 1 · pass 2 of 2");
  assert.equal(eyebrow(found, 2), "Falling asleep · next is window 1 of 1");
  assert.match(story(found, 2), /falls asleep over the same words/);
});

test("numbers in words", () => {
  assert.deepEqual([0, 0.0004, 0.062, 1, -0.3, NaN].map(percent), ["0 %", "<0.1 %", "6 %", "100 %", "−30 %", "–"]);
  assert.deepEqual([0, -1.234, 0.05].map(signed), ["0", "−1.2", "0.05"]);
  assert.equal(listed(["a", "b", "c"]), "a, b and c");
});

test("a note says when N is outside the trained range", () => {
  assert.equal(trainedNote(scene()), "Trained with N from 1 to 2.");
  assert.match(trainedNote(scene({ sleep: { ...header().sleep, passes: 6 } })), /N = 6 is beyond that\.$/);
});

test("the place as Python", () => {
  const made = python(scene(), { boundary: 2, layer: 0, head: 0, query: 1, show: "state", lens: "memory", chosen: {} });
  assert.equal(made, "import workbench\nworkbench.theatre('m')\n\nwindow, sleep_pass, layer, gdn_head, query = 0, 2, 3, 0, 1\n");
});

test("a token is named with its place where its symbol stands more than once", () => {
  assert.equal(tokenName(scene(), 0), "“a”");
  assert.equal(tokenName(scene(), 1), "“b” (a → b)");
  assert.equal(tokenName(scene(), 3), "“b” (token 4)");
});
