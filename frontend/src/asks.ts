// Asks of the host: newest first, answers to older ones are dropped.

export type Ask = { what: string; [name: string]: unknown };

export interface Answer {
  /** One or more containers, one after another. */
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
  /** The newest ask of each kind; an older one is given up. */
  private readonly open = new Map<string, Open>();

  constructor(private readonly model: Model) {}

  /** Send an ask; `answered` is called once, unless a newer one of the same kind is sent first. */
  send(ask: Ask, answered: (answer: Answer) => void, progressed?: (progress: Progress) => void, kind = ask.what): void {
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
  readonly receive = ({ kind, id, ...said }: { kind?: string; id?: number } & Answer, buffers: unknown[] = []): void => {
    const found = [...this.open].find(([, one]) => one.id === id);
    if (!found) return;
    const [what, { answered, progressed }] = found;
    if (kind === "progress") progressed?.(said as Progress);
    if (kind !== "answer") return;
    this.open.delete(what);
    answered({ ...said, bytes: buffers.length ? toBytes(buffers[0]) : undefined });
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
