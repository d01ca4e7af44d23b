"""Depo: k-hop retrieval on a directed cycle (Physics of Language Models 4.1; paper section 2).

Layout of an example, with `n` nodes named by words::

    PAD ... name(x) name(succ x) ... | k=3 name(q) ANS name(answer) ... PAD ...
    context, padded on the left      | queries, padded on the right

The answer to ``k, q`` is the node k steps after q. ANS (unless ``predict_ans`` is off) and the
answer's letters are predicted; the answer's letters alone belong to a query.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import cycle

import numpy as np

from workbench.batch import Batch
from workbench.errors import WorkbenchError
from workbench.tasks.base import EVALUATION, TRAIN, ChanceLine, Task, check_room, draw
from workbench.tasks.depo import typed
from workbench.tasks.depo.chance import chance_lines
from workbench.tasks.depo.names import make_words, permutations
from workbench.tasks.depo.settings import DepoConfig, rings_held_out, size_distribution
from workbench.tasks.layout import Layout
from workbench.tasks.phrases import counted
from workbench.tasks.pictures import Edge, Graph, Query
from workbench.tasks.targets import ProbeTarget

PAD_SYMBOL = 0
ANSWER_SYMBOL = 1
MOST_NODES_IN_HELP = 12
"""Nodes of the largest ring that the help for typing writes out."""


class Depo(Task):
    """The Depo task; see `workbench.tasks.base.Task` for the methods' contract."""

    name = "depo"
    title = "Depo: k-hop retrieval"
    difficulty_name, unit, item = "hops", "hop", "node"
    query_form = "hops:node"
    Config = DepoConfig
    config: DepoConfig

    def __init__(self, config: DepoConfig) -> None:
        self.config = config
        hops = config.hops or tuple(range(1, config.max_hops + 1))
        self.difficulties = tuple(sorted(set(hops)))
        marks = ("PAD", "ANS", *(f"k={k}" for k in range(1, config.max_hops + 1)))
        self._words = make_words(config.names, config.nodes, first_symbol=len(marks))
        self.vocabulary = marks + self._words.alphabet
        longest = self._words.spelling.shape[1]
        self.context_tokens = 2 * config.nodes * longest
        self.query_tokens = config.queries * (2 + 2 * longest)
        self._isolated = 2 + 2 * longest if config.isolated else 0
        self._hops = np.array(hops, dtype=np.int64)
        self._sizes, self._odds = size_distribution(config)
        self.holds_out = config.held_out is not None

    def distinct_examples(self) -> float:
        """Return how many examples can be told apart; with several sizes, effectively so.

        Two examples agree with a chance of one in that many.
        """
        alike = 0.0
        for size, odds in zip(self._sizes.tolist(), self._odds.tolist(), strict=True):
            queries = min(size, self.config.queries)
            # which names (in any order), which ring, the order of its edges, the queries
            logs = _log_choose(len(self._words.texts), size) + 2 * math.lgamma(size + 1)
            logs += math.lgamma(size + 1) - math.lgamma(size - queries + 1) - math.log(size)
            logs += queries * math.log(len(self._hops))
            alike += odds**2 * math.exp(-logs)
        return 1 / alike if alike else math.inf

    def sample(self, count: int, generator: np.random.Generator) -> Batch:
        """Draw cycles, names, edge orders and queries; tokens [example, token]."""
        check_room(self, count)
        nodes, queries = self.config.nodes, self.config.queries
        sizes = self._draw_sizes(count, generator)
        # Short words turn up first, so names are shuffled along the ring.
        names = self._words.draw(count, nodes, generator)
        ring = self._draw_rings(names, sizes, generator)
        successor = np.roll(ring, -1, axis=1)
        successor[np.arange(count), sizes - 1] = ring[:, 0]
        source = permutations(sizes, nodes, generator)
        start = permutations(sizes, nodes, generator)[:, :queries]
        hops = self._hops[generator.integers(0, len(self._hops), (count, queries))]

        size, empty = sizes[:, None], len(self._words.texts)
        edges = np.stack([_take(ring, source), _take(successor, source)], axis=-1)
        edges[np.arange(nodes) >= size] = empty
        asked = np.full((count, queries, 2), empty)
        asked[:, :nodes, 0] = _take(ring, start)
        asked[:, :nodes, 1] = _take(ring, (start + hops[:, :nodes]) % size)
        missing = np.arange(queries) >= size
        asked[missing], hops[missing] = empty, -1
        return self._batch(edges.reshape(count, -1), asked, hops)

    def _draw_rings(
        self, names: np.ndarray, sizes: np.ndarray, generator: np.random.Generator
    ) -> np.ndarray:
        """Return names in the order of a ring, [example, node]; from the task's part alone."""
        nodes, share = self.config.nodes, self.config.held_out
        ring = _take(names, permutations(sizes, nodes, generator))
        if not self.of_part or share is None:
            return ring
        # a ring is in the rarer part with this chance or more: failing so often is out of reach,
        # unless there are so few rings that the part is empty
        for _ in range(round(100 / min(share, 1 - share))):
            wrong = np.flatnonzero(rings_held_out(ring, sizes, share) == (self.of_part == TRAIN))
            if not len(wrong):
                return ring
            if len(small := wrong[sizes[wrong] < nodes]):
                # few names form few rings, of which none need be in the part: take other names
                names[small] = self._words.draw(len(small), nodes, generator)
            ring[wrong] = _take(names[wrong], permutations(sizes[wrong], nodes, generator))
        raise WorkbenchError(
            f"task.held_out = {share} with task.nodes = {nodes} leaves a part of the rings empty",
            "rings both in training and held out",
            "ask for more nodes, or another share",
        )

    def _draw_sizes(self, count: int, generator: np.random.Generator) -> np.ndarray:
        """Return n of each example, int64 [example]."""
        if len(self._sizes) == 1:
            return np.full(count, self._sizes[0])
        edges = np.cumsum(self._odds)[:-1]
        return self._sizes[np.searchsorted(edges, generator.random(count), side="right")]

    def _batch(self, edges: np.ndarray, asked: np.ndarray, hops: np.ndarray) -> Batch:
        """Lay out words: edges [example, word], asked [example, query, start/answer], hops."""
        context, length = self.context_tokens, self.context_tokens + self.query_tokens
        layout = Layout(len(edges), length, hops.shape[1])
        layout.difficulty = hops

        # Spell every word into a fixed number of slots, then close the gaps row by row: the slots
        # in use and the tokens they go to come in the same order.
        letters = np.take(self._words.spelling, edges, axis=0).reshape(len(edges), -1)
        used = letters != PAD_SYMBOL
        here = np.arange(context) >= context - used.sum(axis=1)[:, None]
        layout.tokens[:, :context][here] = letters.ravel()[np.flatnonzero(used)]
        layout.valid[:, :context] = here

        letters = np.empty((*hops.shape, 2, 1 + self._words.spelling.shape[1]), dtype=np.int32)
        letters[..., 0, 0] = np.where(hops < 0, PAD_SYMBOL, ANSWER_SYMBOL + hops)  # ids follow ANS
        letters[..., 1, 0] = np.where(hops < 0, PAD_SYMBOL, ANSWER_SYMBOL)
        letters[..., 1:] = np.take(self._words.spelling, asked, axis=0)
        used = letters.reshape(len(edges), -1) != PAD_SYMBOL
        # padding goes to the end of the queries, or of each query that is read alone
        rows = used.reshape(-1, self._isolated or length - context)
        here = np.arange(rows.shape[1]) < rows.sum(axis=1)[:, None]
        here = here.reshape(used.shape)
        slot = np.flatnonzero(used)
        layout.tokens[:, context:][here] = letters.ravel()[slot]
        layout.valid[:, context:] = here
        slot %= length - context
        query = np.arange(hops.shape[1])[:, None, None]
        half, letter = np.ogrid[:2, : letters.shape[-1]]
        counts = (half == 1) & ((letter > 0) | self.config.predict_ans)
        loss = np.broadcast_to(counts, letters.shape[1:])
        answer = np.where((half == 1) & (letter > 0), query, -1)
        layout.loss_mask[:, context:][here] = loss.ravel()[slot]
        layout.answer_of[:, context:][here] = answer.ravel()[slot]
        return layout.batch(self._isolated)

    def solve(self, batch: Batch) -> np.ndarray:
        """Work out every ANS and answer by walking the edges read from the context.

        Raises WorkbenchError: the context leads nowhere, or an answer's length is not that of its
        masked tokens.
        """
        tokens = batch.tokens.copy()
        letters = {
            text: [letter for letter in row if letter]
            for text, row in zip(self._words.texts, self._words.spelling.tolist(), strict=False)
        }
        for example, (row, loss) in enumerate(zip(tokens, batch.loss_mask, strict=True)):
            edges, queries = self._read(batch, example, batch.valid[example] & ~loss)
            successor = {edge.source: edge.target for edge in edges}
            for hops, (start, *_), asked in queries:
                name = start
                for _ in range(hops):
                    if name not in successor:
                        raise WorkbenchError(
                            f"no edge leaves node {name}",
                            "a context that holds a whole cycle",
                            "solve whole examples, or lay the example out again with parse",
                        )
                    name = successor[name]
                # k and the start come first, then ANS
                answer, begin = letters[name], asked.start + 1 + len(letters[start]) + 1
                what = "the answer takes"
                if self.config.predict_ans:
                    answer, begin = [ANSWER_SYMBOL, *answer], begin - 1
                    what = "ANS and answer take"
                room = int(np.argmin(np.append(loss[begin:], False)))
                if len(answer) != room:
                    raise WorkbenchError(
                        f"{what} {len(answer)} tokens at token {begin}",
                        f"{room} tokens, as the loss mask has it",
                        "lay the example out again with parse",
                    )
                row[begin : begin + room] = answer
        return tokens

    def _read(
        self, batch: Batch, example: int, seen: np.ndarray
    ) -> tuple[list[Edge], list[tuple[int, list[str], range]]]:
        """Return the edges of an example, and the hops, names and tokens of its queries.

        `seen`: bool [token]; a query whose answer is not seen has one name.
        """
        edges: list[Edge] = []
        queries: list[tuple[int, list[str], range]] = []
        names: list[str] = []  # of the edge or the query that is being read
        letters, begin, hops = "", 0, 0
        for place in np.flatnonzero(seen).tolist():
            symbol = self.vocabulary[batch.tokens[example, place]]
            if symbol == "ANS":
                continue
            if symbol.startswith("k="):
                names, letters, begin = [], "", place
                hops = int(symbol.removeprefix("k="))
                continue
            begin = place if not (hops or names or letters) else begin
            letters += symbol
            if not self.ends_word(symbol):
                continue
            names.append(letters.removesuffix("."))
            letters, here = "", range(begin, place + 1)
            if hops:
                queries[len(queries) - (len(names) == 2) :] = [(hops, names, here)]
            elif len(names) == 2:
                edges.append(Edge(" → ".join(names), here, *names))
                names = []
        return edges, queries

    def ends_word(self, symbol: str) -> bool:
        """Return whether a node's name ends with this symbol."""
        return self.config.names == "single" or symbol.endswith(".")

    def typed(self, batch: Batch, example: int) -> tuple[str, str]:
        """Return edges ``0>3 3>5 5>0`` and queries ``2:0, 3:5``."""
        picture = self.picture(batch, example)
        edges = " ".join(f"{edge.source}>{edge.target}" for edge in picture.items)
        return edges, ", ".join(f"{q.difficulty}:{q.start}" for q in picture.queries)

    def text(self, batch: Batch, example: int) -> str:
        """Return a line of edges, ``0>3 3>5 5>0``, and one of queries, ``2:0=5, 3:5=5``."""
        asked = self.picture(batch, example).queries
        answered = ", ".join(f"{q.difficulty}:{q.start}={q.answer}" for q in asked)
        return f"{self.typed(batch, example)[0]}\n{answered}"

    def spell(self, symbols: Sequence[str]) -> str:
        """Return a name without the mark of its last letter; one that goes on has an ellipsis."""
        text = "".join(symbols)
        if self.config.names == "single":
            return text
        return text.removesuffix(".") if text.endswith(".") else f"{text}…"

    def picture(self, batch: Batch, example: int) -> Graph:
        """Return the ring, its queries and the edges that each follows."""
        symbols = self.render(batch, example)
        edges, asked = self._read(batch, example, batch.valid[example])
        queries = []
        for hops, (start, *answer), here in asked:
            label, path = f"{counted(hops, 'hop')} from {start}", _path(edges, start, hops)
            queries.append(Query(label, start, "".join(answer), hops, here, path))
        marks = {n for n, symbol in enumerate(symbols) if symbol == "ANS" or symbol[:2] == "k="}
        order = _along(edges)
        first = edges[0]
        return Graph(
            tuple(edges),
            tuple(queries),
            tuple(symbol.removesuffix(".") for symbol in symbols),
            frozenset(marks),
            label=f"Ring of {len(order)} nodes: {' to '.join(order)} and back",
            reading=f"In the context, {first.source} {first.target} means {first.name}.",
        )

    def typing_help(self) -> str:
        """Return what may be typed: a ring of the settings' size, or how an edge is written."""
        nodes = self.config.nodes
        if nodes > MOST_NODES_IN_HELP:
            return f"Edges that form one ring, such as the {nodes} shown; a>b leads from a to b."
        picture = self.picture(draw(self, 1, 0, 0, EVALUATION), 0)
        node = min(edge.source for edge in picture.items)
        order = _along(picture.items, node)  # easier to read than the drawn order
        pairs = zip(order, [*order[1:], node], strict=True)
        return f"Edges that form one ring, such as {' '.join(f'{a}>{b}' for a, b in pairs)}."

    def unlike_training(self, batch: Batch, example: int) -> str:
        """Return whether the ring has another size, or a query another k, than all trained on."""
        picture, said = self.picture(batch, example), []
        sizes = self._sizes.tolist()
        if (nodes := len(picture.items)) not in sizes:
            ends = f"{sizes[0]} to {sizes[-1]}" if len(sizes) > 1 else f"{sizes[0]}"
            said.append(f"rings of {ends} nodes only, this one has {nodes}")
        asked = {query.difficulty for query in picture.queries}
        if other := sorted(asked - set(self.difficulties)):
            said.append(f"never asked for k = {', '.join(map(str, other))}")
        return f"Trained with {'; '.join(said)}." if said else ""

    def summary(self) -> str:
        """Return the size of the ring and the hops asked for."""
        config = self.config
        asked = f"1 to {config.max_hops}" if config.max_hops > 1 else "1"
        if config.hops:
            asked = ", ".join(map(str, config.hops))
        size = "a ring of" if config.n_dist == "fixed" else "rings of up to"
        return f"Depo: follow the arrows of {size} {config.nodes} nodes, {counted(asked, 'hop')}"

    def chance(self) -> dict[str, ChanceLine]:
        """Return the lines of `workbench.tasks.depo.chance.chance_lines`."""
        return chance_lines(self.config, self._hops)

    def best_guess(self, batch: Batch) -> np.ndarray:
        """Return the chance of "guess among other nodes" for each query, [example, query].

        With n nodes on the example's own cycle: 1 where k is a multiple of n, else 1 / (n - 1).
        """
        sizes = self.cycle_sizes(batch)[:, None]
        hops = batch.difficulty
        right = np.where(hops % sizes == 0, 1.0, 1.0 / (sizes - 1))
        return np.where(hops < 0, np.nan, right)

    def cycle_sizes(self, batch: Batch) -> np.ndarray:
        """Return the number of nodes on each example's cycle, int64 [example]."""
        context = slice(self.context_tokens)
        last = np.array([self.ends_word(symbol) for symbol in self.vocabulary])
        words = last[batch.tokens[:, context]] & batch.valid[:, context]
        return words.sum(axis=1) // 2  # an edge is two words

    def probe_targets(self, batch: Batch) -> list[ProbeTarget]:
        """Return the k-hop successor of every node, for k in 1..max_hops and 2, 4, 8 .. < nodes.

        Powers of two beyond those asked are there because a cycle can be walked by doubling.
        """
        config = self.config
        levels = set(range(1, config.max_hops + 1))
        levels |= {2**j for j in range(config.nodes.bit_length()) if 2**j < config.nodes}
        index = {name: node for node, name in enumerate(self._words.texts)}
        successor = np.full((len(batch), len(index)), -1, dtype=np.int64)
        asked_by, read_at = np.full_like(successor, -1), np.full_like(successor, -1)
        for example in range(len(batch)):
            picture = self.picture(batch, example)
            for edge in picture.items:
                successor[example, index[edge.source]] = index[edge.target]
                read_at[example, index[edge.source]] = edge.tokens[-1]
            for number, query in enumerate(picture.queries):
                asked_by[example, index[query.start]] = number
        texts, symbols = self._words.texts, self._words.spelling[:-1, 0].astype(np.int64)
        reached, hops = successor, 1
        targets = []
        for level in sorted(levels):
            for _ in range(level - hops):
                reached = np.where(reached < 0, -1, np.take_along_axis(successor, reached, axis=1))
            hops, words = level, counted(level, "hop")
            meaning = f"Which node is {words} after the named one along the cycle?"
            targets.append(
                ProbeTarget(
                    words, level, reached, texts, texts, successor, asked_by, symbols, meaning,
                    read_at,
                )
            )  # fmt: skip
        return targets

    def parse(self, text: str, queries: str | None = None) -> Batch:
        """Return the batch of a typed cycle; edges keep the order in which they are typed.

        `text`: edges ``0>3 3>5 5>0``, separated by blanks, commas, semicolons or lines; ``->`` will
        do for ``>``. One directed cycle over 3 to `nodes` nodes; fewer than `nodes` are padded on
        the left, which a model trained on one size has never seen. `queries`: up to `queries` of
        ``k:node``, for example ``2:0, 3:5``. None asks one query per start node, in the order of
        the edges, with k going round the task's hops.
        """
        index = {word: number for number, word in enumerate(self._words.texts)}
        successor = typed.cycle(text, index, most=self.config.nodes)
        if queries is None:
            starts = list(successor)[: self.config.queries]
            pairs = list(zip(cycle(self.difficulties), starts, strict=False))
        else:
            pairs = typed.queries(
                queries, successor, max_hops=self.config.max_hops, most=self.config.queries
            )
        empty = len(index)
        edges = np.full((1, self.config.nodes, 2), empty)
        edges[0, : len(successor)] = [(index[a], index[b]) for a, b in successor.items()]
        asked = np.full((1, self.config.queries, 2), empty)
        hops = np.full((1, self.config.queries), -1)
        for number, (k, start) in enumerate(pairs):
            answer = start
            for _ in range(k):
                answer = successor[answer]
            asked[0, number], hops[0, number] = (index[start], index[answer]), k
        return self._batch(edges.reshape(1, -1), asked, hops)


def _along(edges: Sequence[Edge], start: str = "") -> list[str]:
    """Return the nodes of a ring in its order, from `start` or the first edge's source on."""
    successor = {edge.source: edge.target for edge in edges}
    order = [start or edges[0].source]
    for _ in edges[1:]:
        order.append(successor[order[-1]])
    return order


def _path(edges: Sequence[Edge], start: str, hops: int) -> tuple[int, ...]:
    """Return the edges that lead `hops` nodes on from `start`, each once."""
    leaves = {edge.source: number for number, edge in enumerate(edges)}
    path: list[int] = []
    for _ in range(min(hops, len(edges))):
        path.append(leaves[start])
        start = edges[path[-1]].target
    return tuple(path)


def _take(values: np.ndarray, index: np.ndarray) -> np.ndarray:
    """Return ``values[example, index[example, ...]]``."""
    offset = np.arange(0, values.size, values.shape[1])[:, None]
    return np.take(values, index + offset)


def _log_choose(n: int, k: int) -> float:
    """Return the logarithm of a binomial coefficient."""
    return math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)
