// Frames of a streamed answer, as workbench/views/site/answering.py sends them.

export interface Frame {
  /** p: progress; b: a container; j: a result; r: the end, with a problem if there is one. */
  kind: string;
  content: Uint8Array;
}

const HEAD = 5;

/** The frames of a stream of bytes, each as soon as it is whole. */
export async function* frames(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Frame> {
  let rest = new Uint8Array();
  for await (const chunk of chunks) {
    rest = joined(rest, chunk);
    let at = 0;
    while (rest.length - at >= HEAD) {
      const length = new DataView(rest.buffer, rest.byteOffset + at).getUint32(0, true);
      if (rest.length - at - HEAD < length) break;
      yield { kind: String.fromCharCode(rest[at + 4]), content: rest.slice(at + HEAD, at + HEAD + length) };
      at += HEAD + length;
    }
    rest = rest.slice(at);
  }
  if (rest.length) throw new Error("the answer ends in the middle");
}

function joined(a: Uint8Array, b: Uint8Array): Uint8Array<ArrayBuffer> {
  const both = new Uint8Array(a.length + b.length);
  both.set(a);
  both.set(b, a.length);
  return both;
}

/** The content of a frame as JSON. */
export function json({ content }: Frame): any {
  return JSON.parse(new TextDecoder().decode(content));
}

/** What a response sends, part by part. */
export async function* parts(response: Response): AsyncGenerator<Uint8Array> {
  const reader = response.body!.getReader();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    yield value;
  }
}
