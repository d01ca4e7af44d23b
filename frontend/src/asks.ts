// Asks of the host: newest first, answers to older ones are dropped.

import { readContainers, type Container } from "./data/scene";

export type Ask = { what: string; [name: string]: unknown };

export interface Answer {
  containers: Container[];
  /** The bytes of all containers. */
  bytes?: Uint8Array;
  /** What a lens asked for, as plain data. */
  result?: any;
  /** One line on what is wrong, and the field that it is about. */
  problem?: string;
  field?: string;
}

/** How far a host is with an ask. */
export interface Progress {
  done: number;
  total: number;
  unit?: string;
  /** Units a second, and the seconds that are left. */
  rate?: number;
  seconds_left?: number;
}

interface Open {
  id: number;
  answered: (answer: Answer) => void;
  progressed?: (progress: Progress) => void;
}

interface Message {
  kind?: string;
  id?: number;
  problem?: string;
  field?: string;
  result?: unknown;
}

/** The part of anywidget's model that is used. */
export interface Model {
  get(name: string): any;
  set?(name: string, value: unknown): void;
  save_changes?(): void;
  on(name: string, call: (...args: any[]) => void): void;
  off?(name: string, call: (...args: any[]) => void): void;
  send?(message: unknown): void;
}

export class Asks {
  private serial = 0;
  /** The newest ask of each kind, of states for each scene; an older one is given up. */
  private readonly open = new Map<string, Open>();

  constructor(private readonly model: Model) {}

  /** Send an ask; `answered` is called once, unless a newer one of the same kind is sent first. */
  send(ask: Ask, answered: (answer: Answer) => void, progressed?: (progress: Progress) => void,
    kind = ask.digest ? `${ask.what} ${ask.digest}` : ask.what): void {
    const id = ++this.serial;
    this.drop(kind);
    this.open.set(kind, { id, answered, progressed });
    this.model.send?.({ kind: "ask", id, ask });
  }

  /** Give up an ask: its answer is dropped, and the host may stop working on it. */
  drop(what: string): void {
    const given = this.open.get(what);
    if (given) this.model.send?.({ kind: "cancel", id: given.id });
    this.open.delete(what);
  }

  /** Take a message of the host. */
  readonly receive = (message: Message, buffers: unknown[] = []): void => {
    if (message?.kind !== "answer" && message?.kind !== "progress") return;
    const found = [...this.open].find(([, one]) => one.id === message.id);
    if (!found) return;
    if (message.kind === "progress") return found[1].progressed?.(message as unknown as Progress);
    const [what, { answered }] = found;
    this.open.delete(what);
    if (message.problem) return answered({ containers: [], problem: message.problem, field: message.field });
    try {
      const bytes = buffers.length ? toBytes(buffers[0]) : new Uint8Array();
      answered({ containers: readContainers(bytes), bytes, result: message.result });
    } catch (error) {
      answered({ containers: [], problem: (error as Error).message });
    }
  };
}

/** Bytes of whatever a host hands over: a DataView, an ArrayBuffer, a typed array, or base64. */
export function toBytes(value: unknown): Uint8Array {
  if (!value) return new Uint8Array();
  if (value instanceof Uint8Array) return value;
  if (value instanceof ArrayBuffer) return new Uint8Array(value);
  if (ArrayBuffer.isView(value)) return new Uint8Array(value.buffer, value.byteOffset, value.byteLength);
  if (typeof value === "string") return Uint8Array.from(atob(value), (letter) => letter.charCodeAt(0));
  throw new Error("the host handed over no bytes");
}
