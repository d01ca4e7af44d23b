"""The command `chat`: a text in a stream, questions about it, and its memory in view."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from workbench.cli import options as given
from workbench.errors import WorkbenchError
from workbench.files import output_error
from workbench.terminal import printable

if TYPE_CHECKING:
    from workbench.backbones.text import Turns
    from workbench.sleep.stream import TextStream

HELP: Final = """\
A line is read; one that ends in a question mark is answered.
/ask TEXT           answer, whatever the line ends in
/read FILE          read a text file
/sleep [N]          sleep now, in N passes
/memory             S by layer: bytes and norm; the window; what sleep has cost
/private TEXT       read a text that is left out of the sleep
/forget TEXT        take a text out of S again, and measure what remains
/fork NAME          keep a second stream that goes on from here; /switch NAME goes there
/save FILE          save the stream; /load FILE goes on with one
/erase              overwrite this stream with zeros and begin again; forks and files stay
/show FILE.html [LAYER]   the newest sleep as a page, of all layers or of one
/quit               end; so does the end of the input"""


def add_commands(commands: Any) -> None:
    """Add the command."""
    chat = given.add_command(
        commands,
        "chat",
        _chat,
        "talk to a model that sleeps: paste a text, ask, look at its memory, save or erase it",
        "workbench chat smollm2-135m --window 512 --passes 2",
    )
    chat.add_argument(
        "model", help="a bundled name, a fetched name, a folder, a GGUF file, or hf://owner/name"
    )
    chat.add_argument(
        "--window", type=given.whole("window", 2), help="L in tokens; default as trained, or 512"
    )
    chat.add_argument("--passes", type=given.passes, help="N; default as trained (the largest)")
    chat.add_argument(
        "--loop", type=given.block_range, metavar="A:B", help="blocks that a sleep repeats"
    )
    given.add_writing(chat, what="most tokens of an answer", temperature_of=0.0)
    given.add_device(chat)


def _chat(options: argparse.Namespace) -> int:
    from workbench.backbones.text import PLAIN
    from workbench.notebook.streams import open_stream

    stream = open_stream(
        options.model,
        window=options.window,
        passes=options.passes,
        loop=options.loop,
        device=options.device,
    )
    if not stream.memory.fast_weights:
        _say(f"{options.model} has no fast weights: a sleep keeps nothing of a window")
    chat = Chat(stream, getattr(stream.text, "turns", PLAIN), options)
    return chat.run(sys.stdin)


class Chat:
    """The streams of one chat by name, and what a line does to the current one."""

    def __init__(self, stream: TextStream, turns: Turns, options: argparse.Namespace) -> None:
        import numpy as np

        self.turns, self.options = turns, options
        self.generator = np.random.default_rng(options.seed)
        self.streams, self.name = {"main": stream}, "main"
        self._bar: Any = None
        self._passes: Any = stream.sleep.passes
        self._take_over(stream)
        stop = stream.text.encode(turns.between) if turns.answer.strip() else ()
        self.stop = [int(token) for token in stop[:1]]
        self.commands: dict[str, Callable[[str], None]] = {
            "ask": self.ask,
            "read": self._read_file,
            "sleep": self._sleep,
            "memory": self._memory,
            "private": lambda text: self.read(text + "\n", private=True),
            "forget": self._forget,
            "fork": self._fork,
            "switch": self._switch,
            "save": lambda file: self.stream.save(_named(file)),
            "load": self._load,
            "erase": lambda _: self._erase(),
            "show": self._show,
            "help": lambda _: print(HELP),
        }

    @property
    def stream(self) -> TextStream:
        """The current stream; its note is what the template still has to say, or None in a turn."""
        return self.streams[self.name]

    def run(self, lines: Iterable[str]) -> int:
        """Take line after line; in a terminal a mistake is reported, elsewhere it ends the chat."""
        terminal = sys.stdin.isatty()
        if terminal:
            _say("a line is read, a question answered; /help lists the commands")
        for line in lines:
            line = line.rstrip("\r\n")
            if line.strip() == "/quit":
                break
            try:
                self.take(line)
            except KeyboardInterrupt:
                if not terminal:
                    raise
                _say("interrupted")
            except WorkbenchError as error:
                if not terminal:
                    raise
                _say(str(error))
            except OSError as error:
                if not terminal:
                    raise
                _say(str(output_error(error.filename or "an output", error)))
            finally:
                self._on_pass(0)
        return 0

    def take(self, line: str) -> None:
        """Do what a line says."""
        if line.startswith("/"):
            name, _, rest = line[1:].partition(" ")
            if name not in self.commands:
                raise WorkbenchError(f"no command /{name[:40]}", "a command of /help", "correct it")
            self.commands[name](rest.strip())
        elif line.rstrip().endswith("?"):
            self.ask(line)
        else:
            self.read(line + "\n")

    def read(self, text: str, *, private: bool = False) -> None:
        """Read a text, within a turn of the template."""
        stream = self.stream
        if stream.note is not None:
            stream.feed(stream.note)
            stream.note = None
        stream.feed(text, private=private)

    def ask(self, text: str) -> None:
        """Read a question and stream the answer."""
        self.read(text)
        stream = self.stream
        stream.feed(self.turns.answer)
        for piece in stream.write(
            self.options.tokens,
            temperature=self.options.temperature,
            stop=self.stop,
            generator=self.generator,
        ):
            print(_visible(piece), end="", flush=True)
        print()
        last = int(stream.newest[0, -1])
        said = stream.text.writer()(last) if [last] == self.stop else ""
        stream.note = self.turns.between.removeprefix(said)

    def _read_file(self, file: str) -> None:
        from workbench.files import read_text

        self.read(read_text(_named(file)))

    def _sleep(self, passes: str) -> None:
        self._passes = _whole(passes, "N") if passes else self.stream.sleep.passes
        self.stream.sleep_now(self._passes if isinstance(self._passes, int) else None)

    def _memory(self, _: str) -> None:
        import torch

        from workbench.limits import in_words

        stream = self.stream
        rows = [("layer", "S", "norm of S")]
        for i, state in stream.memory.fast_weights.items():
            shape = "x".join(map(str, state.shape[1:]))
            norm = float(torch.linalg.vector_norm(state.double()))
            rows.append((str(i), f"{shape}, {in_words(state.nbytes)}", f"{norm:.3f}"))
        cost = stream.budget
        print(given.columns(rows))
        print(
            f"all that crosses a sleep: {in_words(stream.memory.nbytes)}; window: "
            f"{stream.pending.shape[1]} of {stream.sleep.window} tokens, "
            f"{int(stream.private.sum())} private; {len(stream.held)} characters wait for a space"
        )
        print(
            f"sleep so far: {cost.tokens:,} tokens in {cost.windows} windows, "
            f"{cost.passes} passes, {cost.seconds:.1f} s"
        )

    def _forget(self, text: str) -> None:
        from workbench.instruments.forgetting import forget_text

        self._passes = 2 * len(self.stream.slept)
        found = forget_text(self.stream, text, on_window=lambda: self._advance("window read again"))
        self._on_pass(0)
        rows = [("layer", "taken out, of |S|", "still unlike never read")]
        rows += [(str(i), f"{found.removed[i]:.1%}", f"{found.left[i]:.1%}") for i in found.removed]
        print(given.columns(rows))
        recalled = [("recalled with S", "the text: nats, right", "the rest: nats, right")]
        for name, one in found.span.items():
            other = found.rest[name]
            text_told, rest_told = (f"{r.log_prob:.3f}, {r.right:.1%}" for r in (one, other))
            recalled.append((name, text_told, rest_told))
        print(given.columns(recalled))

    def _fork(self, name: str) -> None:
        if not name or name in self.streams:
            fix = f"names so far: {', '.join(self.streams)}"
            raise WorkbenchError(f"/fork {name}".strip(), "a new name", fix)
        self.streams[name] = self.stream.fork()

    def _switch(self, name: str) -> None:
        if name not in self.streams:
            raise WorkbenchError(f"/switch {name}".strip(), ", ".join(self.streams), "name one")
        self.name = name

    def _load(self, file: str) -> None:
        from workbench.sleep.stream import TextStream

        stream = self.stream
        self.streams[self.name] = TextStream.reopen(stream.model, stream.text, _named(file))
        self.stream.on_pass = self._on_pass

    def _erase(self) -> None:
        self.stream.erase()
        self.stream.note = self.turns.first

    def _show(self, rest: str) -> None:
        from workbench.cli.export import check_output
        from workbench.files import write_text
        from workbench.theatre.streamed import sleep_page

        file, _, layer = rest.partition(" ")
        path = _named(file)
        check_output(path, force=True)
        one = _whole(layer, "layer") if layer else None
        write_text(path, sleep_page(self.stream, self.options.model, layer=one))
        print(f"{path}: open it in a browser")

    def _take_over(self, stream: TextStream) -> None:
        stream.note, stream.on_pass = self.turns.first, self._on_pass

    def _on_pass(self, number: int) -> None:
        if number:
            self._advance("pass asleep")
            return
        if self._bar is not None:
            self._bar.close()
        self._bar, self._passes = None, self.stream.sleep.passes

    def _advance(self, unit: str) -> None:
        from workbench.progress import progress_bar

        if self._bar is None:
            count = self._passes if isinstance(self._passes, int) else 0
            self._bar = progress_bar(count, unit=unit)
        self._bar.update(1)


def _visible(text: str) -> str:
    """Return text for the terminal; line breaks and tabs stay."""
    return "".join(part if part in "\n\t" else printable(part) for part in text)


def _named(file: str) -> Path:
    if not file:
        raise WorkbenchError("no file name", "a file name after the command", "add one")
    return Path(file)


def _whole(text: str, what: str) -> int:
    try:
        return given.whole(what, 0, 1024)(text)
    except argparse.ArgumentTypeError as error:
        said, _, expected = str(error).partition("; expected ")
        raise WorkbenchError(said, expected, "correct it") from None


def _say(line: str) -> None:
    sys.stderr.write(f"workbench: {printable(line)}\n")
