"""Work done a little ahead of where it is needed."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Given = TypeVar("Given")
Made = TypeVar("Made")


def ahead(
    work: Callable[[Given], Made], items: Iterable[Given], threads: int
) -> Iterator[tuple[Given, Made]]:
    """Each item with what comes of it, in order; at most `4 threads` wait to be taken.

    Reading and decoding pictures leaves other threads free to run.
    """
    if threads <= 1:
        for item in items:
            yield item, work(item)
        return
    waiting: deque[tuple[Given, Future[Made]]] = deque()
    with ThreadPoolExecutor(threads) as pool:
        for item in items:
            waiting.append((item, pool.submit(work, item)))
            if len(waiting) == 4 * threads:
                first, job = waiting.popleft()
                yield first, job.result()
        for first, job in waiting:
            yield first, job.result()
