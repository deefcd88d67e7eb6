"""Ten kinds of real work, to see whether the same work gives the same figures."""

from __future__ import annotations

import asyncio
import csv
import decimal
import importlib.util
import io
import json
import pickle
import re
import sqlite3
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from xml.etree import ElementTree


def work_json() -> object:
    data = [{"id": n, "name": f"n{n}", "tags": ["a", "b", str(n)]} for n in range(3000)]
    return json.loads(json.dumps(data))


def work_re() -> object:
    text = " ".join(f"user{n}@example{n % 7}.org" for n in range(5000))
    return [match.groupdict() for match in re.finditer(r"(?P<user>\w+)@(?P<host>[\w.]+)", text)]


def work_csv() -> object:
    out = io.StringIO()
    writer = csv.writer(out)
    for n in range(5000):
        writer.writerow([n, f"c{n % 97}", n * 7 % 1000])
    return list(csv.DictReader(io.StringIO(out.getvalue()), ["a", "b", "c"]))


def work_sqlite3() -> object:
    database = sqlite3.connect(":memory:")
    database.execute("create table t(a integer primary key, b text)")
    rows = [(n, f"row {n}" * 3) for n in range(5000)]
    database.executemany("insert into t values (?, ?)", rows)
    found = database.execute("select * from t order by b").fetchall()
    database.close()
    return found


def work_xml() -> object:
    root = ElementTree.Element("root")
    for n in range(3000):
        ElementTree.SubElement(root, "item", id=str(n)).text = f"text {n}"
    return ElementTree.fromstring(ElementTree.tostring(root))


def work_decimal() -> object:
    with decimal.localcontext() as context:
        context.prec = 60
        return [decimal.Decimal(n).sqrt() for n in range(1, 5000)]


def work_numpy() -> object:
    import numpy  # type: ignore[import-not-found, unused-ignore]

    matrix = numpy.arange(200_000, dtype=float).reshape(400, 500)
    product = matrix @ matrix.T
    return numpy.linalg.svd(product[:60, :60]), numpy.sort(matrix.ravel()), list(matrix)


def work_async_server() -> object:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        data = await reader.readexactly(20_000)
        writer.write(data[::-1])
        await writer.drain()
        writer.close()
        await writer.wait_closed()

    async def ask(port: int, n: int) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(bytes([n]) * 20_000)
        await writer.drain()
        data = await reader.read(-1)
        writer.close()
        await writer.wait_closed()
        return data

    async def serve() -> list[bytes]:
        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        answers = [await ask(port, n) for n in range(50)]
        server.close()
        await server.wait_closed()
        return answers

    return asyncio.run(serve())


def work_thread_pool() -> object:
    """Of one figure in itself: all four threads start, and all results are kept to the end.

    How many threads a pool starts, and how many results are waiting, hangs on timing else.
    """
    all_started = threading.Barrier(4)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: all_started.wait(), range(4)))
        futures = [pool.submit(lambda n: [str(n * m) for m in range(2000)], n) for n in range(40)]
        return [future.result() for future in futures]


class Point:
    def __init__(self, n: int) -> None:
        self.n = n
        self.name = f"p{n}"
        self.tags = {"x": n}


def work_pickle() -> object:
    points: object = pickle.loads(pickle.dumps([Point(n) for n in range(3000)]))
    return points


WORKLOADS: list[Callable[[], object]] = [
    work_json,
    work_re,
    work_csv,
    work_sqlite3,
    work_xml,
    work_decimal,
    work_async_server,
    work_thread_pool,
    work_pickle,
]
if importlib.util.find_spec("numpy") is not None:
    WORKLOADS.append(work_numpy)
