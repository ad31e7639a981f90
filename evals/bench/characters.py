"""`make bench-characters`: finding a character among a million by its picture, against flat search.

The vectors are clustered as embeddings are: families of characters that look alike around common
centres, with a decaying spectrum, of length 1. A question is a stored vector with a tenth of its
power changed, as another picture of the same character has it. The exact vectors lie in SQLite, as
in the service, and the index looks there for the true cosines of its candidates; that time counts.
Both searches take one question at a time on one thread, in turns.
"""

import argparse
import sqlite3
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import faiss
import numpy as np
from rich.progress import track

from evals.bench.result import Figure, median, write
from luciole.cells import Directions, Names
from luciole.neighbours import Exact, Neighbours

FAMILY = 50
"""Characters around one centre."""
SPREAD = 0.6
"""Of a family, relative to the spread of the centres."""
DECAY = 0.35
"""The i-th direction's deviation falls as i to the power of minus this: about 160 of 768 directions
matter. Harder than real embeddings; those of pocket's image encoder have about 15 of 256."""
CHANGED = 0.1
"""The power of a question that is not the stored vector's."""
CHUNK = 50_000
_REPEATS = 5


def unit(rows: Directions) -> Directions:
    """Rows of length 1, in place."""
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return rows


def embeddings(rows: Directions, seed: int = 0) -> None:
    """Fill them with clustered directions."""
    count, dimension = rows.shape
    chance = np.random.default_rng(seed)
    spectrum = np.arange(1, dimension + 1, dtype=np.float32) ** -DECAY
    centres = chance.standard_normal((-(-count // FAMILY), dimension), np.float32) * spectrum
    for first in track(range(0, count, CHUNK), description="vectors"):
        part = rows[first : first + CHUNK]
        chance.standard_normal(dtype=np.float32, out=part)
        part *= SPREAD * spectrum
        part += centres[chance.integers(len(centres), size=len(part))]
        unit(part)


def flat_index(count: int, dimension: int) -> tuple[Any, Directions]:
    """The peer, and its own vectors: a million of them are 3 GB, which are held once."""
    flat = faiss.IndexFlatIP(dimension)
    flat.codes.resize(count * dimension * np.dtype(np.float32).itemsize)
    flat.ntotal = count
    held = faiss.rev_swig_ptr(flat.get_xb(), count * dimension)
    return flat, held.reshape(count, dimension)


def questions(rows: Directions, count: int, seed: int = 1) -> Directions:
    """Other pictures of stored characters."""
    chance = np.random.default_rng(seed)
    spectrum = np.arange(1, rows.shape[1] + 1, dtype=np.float32) ** -DECAY
    other = unit(chance.standard_normal((count, rows.shape[1]), np.float32) * spectrum)
    same = rows[chance.choice(len(rows), count, replace=False)]
    return unit(np.sqrt(1 - CHANGED) * same + np.sqrt(CHANGED) * other)


def stored(rows: Directions, file: Path) -> sqlite3.Connection:
    """A database with a row for each vector."""
    connection = sqlite3.connect(file)
    connection.execute("PRAGMA journal_mode=OFF")
    connection.execute("PRAGMA synchronous=OFF")
    connection.execute("CREATE TABLE characters (id INTEGER PRIMARY KEY, embedding BLOB)")
    for first in track(range(0, len(rows), CHUNK), description="SQLite"):
        part = enumerate(rows[first : first + CHUNK], first)
        values = ((name, row.data) for name, row in part)
        connection.executemany("INSERT INTO characters VALUES (?, ?)", values)
    connection.commit()
    return connection


def lookup(connection: sqlite3.Connection, dimension: int) -> Exact:
    """The exact vectors of some characters, from the database."""

    def exact(names: Names) -> Directions:
        marks = ",".join("?" * len(names))
        asked = f"SELECT id, embedding FROM characters WHERE id IN ({marks})"  # noqa: S608
        known = dict(connection.execute(asked, names.tolist()))
        found = b"".join(known[name] for name in names.tolist())
        return np.frombuffer(found, np.float32).reshape(-1, dimension)

    return exact


def seconds(act: Callable[[], object]) -> float:
    """CPU time, which other work on the machine disturbs less."""
    began = time.process_time()
    act()
    return time.process_time() - began


def measure(count: int, dimension: int, asked: int, rounds: int, folder: Path) -> list[Figure]:
    """Recall over all questions; speed in rounds of one question each, in turns."""
    faiss.omp_set_num_threads(1)
    flat, rows = flat_index(count, dimension)
    embeddings(rows)
    exact = lookup(stored(rows, folder / "characters.db"), dimension)
    ask = questions(rows, asked)
    index = Neighbours(dimension, expected=count)
    built = seconds(lambda: fill(index, rows))
    truth = np.concatenate([flat.search(part, 10)[1] for part in np.array_split(ask, 4)])
    found = [[name for name, _ in index.search(one, 10, exact)] for one in ask]
    pairs = zip(found, truth.tolist(), strict=True)
    recalls = [len({*near} & {*real}) / 10 for near, real in pairs]
    ratios, times = [], []
    for turn in track(range(rounds), description="searching"):
        part = ask[[(turn * _REPEATS + k) % asked for k in range(_REPEATS)]]
        slow = seconds(partial(flat.search, part[:1], 10))
        quick = seconds(partial(search_all, index, part, exact)) / _REPEATS
        ratios.append(slow / quick)
        times.append(quick * 1000)
    share = index.nbytes / rows.nbytes
    mean, error = float(np.mean(recalls)), float(1.96 * np.std(recalls) / np.sqrt(asked))
    peer = "faiss.IndexFlatIP, float32"
    return [
        Figure("recall@10", mean, mean - error, min(1.0, mean + error), "", 0.99, "higher", peer),
        Figure("searches a CPU-second", *median(ratios), "x", 20, "higher", peer),
        Figure("memory of the vectors", share, share, share, "x", 1 / 3, "lower", peer),
        Figure("one search", *median(times), "CPU-ms", None, "lower", ""),
        Figure("making the index", built, built, built, "CPU-s", None, "lower", ""),
    ]


def search_all(index: Neighbours, ask: Directions, exact: Exact) -> None:
    """One question after another."""
    for one in ask:
        index.search(one, 10, exact)


def fill(index: Neighbours, rows: Directions) -> None:
    """Add all rows, as a start from SQL does."""
    for first in track(range(0, len(rows), CHUNK), description="index"):
        names = np.arange(first, min(first + CHUNK, len(rows)), dtype=np.int64)
        index.add(names, rows[first : first + CHUNK], np.ones_like(names))


def main() -> None:
    """Parses the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=1_000_000)
    parser.add_argument("--dimension", type=int, default=768)
    parser.add_argument("--questions", type=int, default=500)
    parser.add_argument("--rounds", type=int, default=40)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        figures = measure(args.count, args.dimension, args.questions, args.rounds, Path(folder))
    note = (
        f"{args.count:,} x {args.dimension}, families of {FAMILY}, one thread, one question at a "
        "time; candidates are ranked again by exact vectors from SQLite, which are not counted as "
        "memory"
    )
    print(write("characters", figures, ("faiss-cpu", "numpy"), note))  # noqa: T201


if __name__ == "__main__":
    main()
