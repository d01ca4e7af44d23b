// Every sentence on the screen, from a scene and a place. Pure.

import { chance, isGiven, isRight, rightFrom, score, turned } from "./data/answers";
import { block, number, type Scene } from "./data/scene";

/** Words that name a concept, each in one or two sentences. */
export const TERMS: { [term: string]: string } = {
  S: "The model's fast weights: one matrix per head, rewritten while it reads. S is all that is left of a text once the text is gone.",
  token: "The smallest piece of text that the model reads: a word, a symbol or a letter.",
  sleep: "The model stops taking in text and reads the same window again, N times, before it forgets the window.",
  pass: "One reading of the whole window. Each pass starts from what the pass before made of it, and writes to S.",
  window: "A piece of the text, as long as the model can see at once.",
  cache: "The KV cache: the words that attention can still look at, one by one. After a window it is emptied or, if it slides, loses the oldest.",
  forgotten: "No longer in the KV cache. What the model still knows of it is in S.",
  awake: "Awake, the model reads a window once and answers the questions in it.",
  head: "One of the matrices that make up S. Heads of one layer are written to by the same text, each in its own way.",
  layer: "A block of the network that has an S.",
  share: "How much of S this token has written. The shares of all tokens add up to 100 %; one can be negative if it points against the rest.",
  write: "What a token adds to S: β k vᵀ, its key times its value, as strongly as β says (before what S already holds at this key is taken off).",
  chance: "How often a guess that has not read the text is right.",
  padding: "A dot fills up a window that the text does not fill. The model does not read it.",
  N: "N, the number of passes: how often the model reads each window before it forgets it. Solid circles: as in training. Dashed: worked out when you choose it.",
  chosen: "The first example whose passes gain right answers and lose none. In others a pass may lose some: see the instrument “All examples”.",
  baseline: "How much each pass would move S if it wrote again exactly what the first pass wrote, with the same strengths and decays.",
};

export const SHOW_WORDS = {
  state: ["S", "What S holds now"],
  change: ["Last pass", "What the last pass changed in S"],
  sleep_change: ["Whole sleep", "What this sleep has changed in S so far"],
} as const;

export function percent(share: number): string {
  if (!(share === share)) return "–";
  const size = Math.abs(100 * share);
  if (size > 0 && size < 0.05) return "<0.1 %";
  const text = size > 0 && size < 0.95 ? size.toFixed(1) : size.toFixed(0);
  return `${share < 0 && Number(text) ? "−" : ""}${Number(text) ? text : "0"} %`;
}

export function plural(count: number, one: string, many = `${one}s`): string {
  return `${count} ${count === 1 ? one : many}`;
}

export function listed(things: string[]): string {
  return things.length > 1 ? `${things.slice(0, -1).join(", ")} and ${things[things.length - 1]}` : (things[0] ?? "");
}

/** Windows are counted from 1; with predict-then-sleep two entries read one. */
export function windowNumber(scene: Scene, entry: number): number {
  return scene.entries[entry].window + 1;
}

function windowCount(scene: Scene): number {
  return scene.entries[scene.entries.length - 1].window + 1;
}

/** "Asleep · window 1 of 3 · pass 3 of 4" */
export function eyebrow(scene: Scene, boundary: number): string {
  const [entry, pass] = scene.boundaries[boundary];
  const { awake, passes } = scene.entries[entry];
  const where = `window ${windowNumber(scene, entry)} of ${windowCount(scene)}`;
  if (boundary === 0) return `Before it reads · ${where}`;
  if (pass === 0) return `${windowNumber(scene, entry) === windowNumber(scene, entry - 1) ? "Falling asleep" : "Between windows"} · next is ${where}`;
  return awake ? `Awake · ${where}` : `Asleep · ${where} · pass ${pass} of ${passes}`;
}

/** The short name of a boundary: "pass 3, window 1". */
export function boundaryName(scene: Scene, boundary: number): string {
  const [entry, pass] = scene.boundaries[boundary];
  if (boundary === 0) return "before reading";
  if (pass === 0) return `after window ${windowNumber(scene, entry - 1)}`;
  const several = scene.entries.filter((one) => !one.awake).length > 1;
  if (scene.entries[entry].awake) return `awake, window ${windowNumber(scene, entry)}`;
  return several ? `pass ${pass}, window ${windowNumber(scene, entry)}` : `pass ${pass}`;
}

/** The conclusion: how many answers are right now, and which have just turned. */
export function headline(scene: Scene, boundary: number): string {
  const count = scene.queries.length, right = score(scene, boundary);
  if (count === 0) return "Nothing is asked here: this is what the sleep writes into S.";
  const given = scene.queries.every((_, query) => isGiven(scene, boundary, query));
  const whole = right === count ? (count === 1 ? "the answer is right" : `all ${count} answers are right`)
    : right === 0 ? (count === 1 ? "the answer is wrong" : `none of its ${count} answers is right`)
    : `${right} of ${count} answers ${right === 1 ? "is" : "are"} right`;
  const would = right === count ? (count === 1 ? "answer right" : `answer all ${count} right`)
    : right === 0 ? (count === 1 ? "answer wrong" : `get none of ${count} right`) : `answer ${right} of ${count} right`;
  return given ? `It has answered: ${whole}.` : `If it woke now, it would ${would}.`;
}

/** What has just turned right or wrong, or how the score compares with a guess. */
export function news(scene: Scene, boundary: number): string {
  if (!scene.queries.length) return "";
  if (boundary > 0 && isZero(scene, boundary - 1) && !isZero(scene, boundary)) {
    return `Before it read, it had to guess: ${score(scene, boundary - 1)} right.`;
  }
  const { right, wrong } = turned(scene, boundary);
  const names = (queries: number[]) => {
    const words = queries.map((query) => scene.queries[query].short);
    return words.length > 3 ? plural(words.length, "answer") : listed(words);
  };
  const have = (queries: number[]) => (queries.length === 1 ? "has" : "have");
  const parts: string[] = [];
  if (right.length) parts.push(`${names(right)} ${have(right)} just turned right`);
  if (wrong.length) parts.push(`${names(wrong)} ${have(wrong)} turned wrong`);
  if (parts.length) return `${capital(parts.join("; "))}.`;
  if (boundary === 0) {
    const guess = chance(scene);
    return guess === guess ? `A guess is right in ${percent(guess)} of cases.` : "";
  }
  return "No answer changed from right to wrong or back.";
}

/** What has just been done to S and to the text. */
export function story(scene: Scene, boundary: number): string {
  const [entry, pass] = scene.boundaries[boundary];
  const { awake, passes } = scene.entries[entry];
  if (boundary === 0) return "It has read nothing yet, and S is 0 everywhere.";
  if (pass === 0) {
    const again = scene.entries[entry - 1]?.window === scene.entries[entry].window;
    const next = awake ? (scene.sleep.order === "predict_then_sleep" ? "It reads on, awake." : "It wakes to read the questions.") : `Next it sleeps over window ${windowNumber(scene, entry)}.`;
    if (again) return "The keys and values of the reading are gone. It now falls asleep over the same words.";
    const gone = scene.sleep.eviction === "sliding" ? `The oldest text is gone` : `The text of window ${windowNumber(scene, entry - 1)} is gone`;
    return `${gone}; what it knows of it is in S. ${next}`;
  }
  const moved = movedBy(scene, boundary);
  if (awake) return `It read window ${windowNumber(scene, entry)} once and ${scene.sleep.order === "predict_then_sleep" ? "predicted it" : "answered"} from S. ${moved}`;
  const end = pass === passes ? " The sleep ends here, and the window is forgotten next." : "";
  return `${moved}${end}`;
}

function isZero(scene: Scene, boundary: number): boolean {
  return block(scene, "norm", boundary)!.every((norm) => norm === 0);
}

function capital(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

function movedBy(scene: Scene, boundary: number): string {
  const change = number(scene, "memory_change", boundary);
  if (isZero(scene, boundary - 1)) return isZero(scene, boundary) ? "S stayed 0." : "S was 0 and has been written for the first time.";
  if (!(change === change)) return "S stayed 0.";
  if (change === Infinity) return "S became 0.";
  return `S moved by ${percent(change)} of its size.`;
}

/** All three as one text, for screen readers. */
export function announcement(scene: Scene, boundary: number): string {
  return `${eyebrow(scene, boundary).replaceAll(" · ", ", ")}. ${headline(scene, boundary)} ${news(scene, boundary)} ${story(scene, boundary)}`;
}

/** When an answer turns right: "from pass 2". */
export function turnsRight(scene: Scene, query: number): string {
  const from = rightFrom(scene, query);
  if (from === 0) return "right from the start";
  if (from > 0) return `right from ${boundaryName(scene, from)}`;
  const ever = scene.boundaries.some((_, boundary) => isRight(scene, boundary, query));
  return ever ? "right for a while, lost again" : "never right";
}

/** An answer with its mark; of a trace only whether it is right is known. */
export function saidWords(scene: Scene, boundary: number, query: number): string {
  const right = isRight(scene, boundary, query);
  return `${scene.said[boundary]?.[query] ?? (right ? "right" : "wrong")} ${right ? "✓" : "✗"}`;
}

export function answerLabel(scene: Scene, boundary: number, query: number): string {
  const { label, answer } = scene.queries[query];
  const said = scene.said[boundary]?.[query];
  const p = percent(number(scene, "right_probability", boundary, query));
  const verdict = isRight(scene, boundary, query) ? "right" : `wrong, the answer is ${answer}`;
  return `${label}: ${said === null || said === undefined ? "" : `${said}, `}${verdict}; probability of the right answer ${p}; ${turnsRight(scene, query)}`;
}

/** A token with its place, where the same symbol stands more than once: “1” (string 2, place 7). */
export function tokenName(scene: Scene, token: number): string {
  const name = `“${scene.symbols[token]}”`;
  if (scene.symbols.indexOf(scene.symbols[token]) === scene.symbols.lastIndexOf(scene.symbols[token])) return name;
  const item = scene.picture.items.find(({ tokens: [start, stop] }) => start <= token && token < stop);
  if (!item) return `${name} (token ${token + 1})`;
  return `${name} (${item.name}${item.tokens[1] - item.tokens[0] > 3 ? `, place ${token - item.tokens[0] + 1}` : ""})`;
}

/** What a focused token has done, in one line. */
export function tokenWords(scene: Scene, token: number, beta: number, share: number, allShare: number): string {
  const name = tokenName(scene, token);
  const parts: string[] = [];
  if (beta === beta) parts.push(`wrote in this pass with strength β = ${beta.toFixed(2)}`);
  if (allShare === allShare) parts.push(`holds ${percent(allShare)} of S (${percent(share)} of this head)`);
  return parts.length ? `${name} ${listed(parts)}.` : `${name} has not been read yet.`;
}

export function cellWords(key: number, value: number, amount: number, writers: string[]): string {
  const by = writers.length ? ` Written in this pass mostly by ${listed(writers)}.` : "";
  return `Key ${key}, value ${value}: ${signed(amount)}.${by}`;
}

export function signed(value: number): string {
  const text = value.toPrecision(2);
  return Number(text) === 0 ? "0" : String(Number(text)).replace("-", "−");
}

export function trainedNote(scene: Scene): string {
  const { trained_passes: range, note } = scene.model;
  if (note) return `${scene.model.trained} ${note}`;
  const n = scene.sleep.passes;
  if (!range || (n >= range[0] && n <= range[1])) return scene.model.trained;
  return `${scene.model.trained} N = ${n} is ${n > range[1] ? "beyond" : "below"} that.`;
}

/** What tells one scene from another, in a few words. */
export function nameOf(one: Scene, from: Scene): string {
  const { changed, example } = one.source;
  const parts = one.model.name === from.model.name ? [] : [one.model.title];
  if (changed) parts.push(changed);
  else if (from.source.changed) parts.push("unchanged");
  if (example >= 0 && example !== from.source.example) parts.push(`example ${example + 1}`);
  return [...parts, `N = ${one.sleep.passes}`].join(", ");
}

export const WAITING = {
  scene: "The model is reading …",
  passes: (n: number) => `The model is reading with N = ${n} …`,
  states: "Fetching this head's S …",
};
