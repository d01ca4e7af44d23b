// Keys of the whole theatre: left, right, home, end, space, 1 to 9, escape; of the story a to d, n, p.

import type { Actions } from "./panel";
import type { State } from "./data/place";

interface Context {
  story?: { key(key: string): boolean };
  state: State;
  last: number;
  actions: Actions;
  play(): void;
  passes(n: number): void;
  close(): void;
}

export function keys(event: KeyboardEvent, { story, state, last, actions, play, passes, close }: Context): void {
  if (event.key === "Escape") close();
  const target = event.composedPath()[0] as HTMLElement;
  if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName)) return;
  const to: { [key: string]: number } = { ArrowLeft: state.boundary - 1, ArrowRight: state.boundary + 1, Home: 0, End: last };
  if (event.key in to) actions.set({ boundary: Math.min(Math.max(to[event.key], 0), last), playing: false });
  else if (event.key === " " && !/^(BUTTON|SUMMARY|A)$/.test(target.tagName)) play();
  else if (/^[1-9]$/.test(event.key)) passes(Number(event.key));
  else if (story?.key(event.key)) void 0;
  else if (event.key === "Escape") actions.set({ picked: undefined, hover: undefined });
  else return;
  event.preventDefault();
}
