// Plays the story: moves the theatre to each scene, and keeps the answers back until one has been predicted.

import type { Address } from "../data/place";
import { Card } from "./card";
import { isAt, placeOf, sceneOf, type Story } from "./data";
import { still } from "./flow";

interface Stagehand {
  /** Move the theatre to a place; `play` walks there where it can. */
  go(place: Address, play: boolean): void;
  /** Draw again: what may be seen has changed. */
  redraw(): void;
}

export class StoryPlayer {
  private readonly card: Card;
  private at = -1;
  private readonly made: (number | undefined)[];
  private away = false;

  constructor(private readonly story: Story, private readonly hand: Stagehand, private readonly root: HTMLElement) {
    this.made = story.scenes.map(() => undefined);
    this.card = new Card(story, {
      to: (scene) => this.turn(scene), choose: (choice) => this.choose(choice),
      back: () => this.to(this.at), leave: () => this.to(-1),
    });
    this.card.update(this.state);
  }

  get element(): HTMLElement {
    return this.card.element;
  }

  /** A prediction is waiting: what the model answers is kept back. */
  get open(): boolean {
    return this.at >= 0 && this.made[this.at] === undefined;
  }

  /** The scene for the page's address, counted from 1. */
  get address(): number | undefined {
    return this.at < 0 ? undefined : this.at + 1;
  }

  private get state() {
    return { at: this.at, made: this.made, away: this.away };
  }

  /** Begin where an address says. */
  begin(address: Address): void {
    const scene = sceneOf(address, this.story.scenes.length);
    if (scene >= 0) this.to(scene);
  }

  /** Go to a scene that the reader chose, and bring it into view. */
  private turn(scene: number): void {
    this.to(scene);
    const { top } = this.root.getBoundingClientRect();
    if (top < -1 || top > 200) this.root.scrollIntoView({ behavior: still() ? "auto" : "smooth" });
  }

  private to(scene: number): void {
    this.at = scene;
    this.away = false;
    this.card.update(this.state);
    if (this.at >= 0) this.hand.go(placeOf(this.story.scenes[this.at], !this.open), false);
    this.hand.redraw();
  }

  private choose(choice: number): void {
    if (!this.open || choice >= this.story.scenes[this.at].choices.length) return;
    this.made[this.at] = choice;
    this.card.update(this.state);
    this.hand.go(placeOf(this.story.scenes[this.at], true), true);
    this.hand.redraw();
  }

  /** Hear where the theatre is now; `settled` once it no longer plays. */
  heard(address: Address, settled: boolean): void {
    if (this.at < 0 || !settled) return;
    const away = !isAt(address, placeOf(this.story.scenes[this.at], !this.open));
    if (away === this.away) return;
    this.away = away;
    this.card.update(this.state);
  }

  /** Letters choose, n and p turn the page; returns whether the key meant the story. */
  key(key: string): boolean {
    if (this.at < 0) return false;
    if (key === "n") this.turn(Math.min(this.at + 1, this.made.length - 1));
    else if (key === "p") this.turn(Math.max(0, this.at - 1));
    else if (/^[a-d]$/.test(key) && this.open) this.choose(key.charCodeAt(0) - 97);
    else return false;
    return true;
  }
}
