"""Baseline (b): the same debits in raw SQLCipher, one commit each.

A purse loses the amount, a journal row and two entries are written, and the commit is
durable (WAL, synchronous=FULL) before the next one starts: what a careful programmer would
write by hand without groups. No TLS, no rules, no hash chain.

    python -m benchmarks.debits SECONDS
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from pathlib import Path

from sqlcipher3 import dbapi2


def measure(seconds: float, folder: Path) -> dict[str, float]:
    """Return debits a second and CPU seconds used, in a database in `folder`."""
    connection = dbapi2.connect(str(folder / "debits.db"), isolation_level=None)
    run = connection.execute
    run("PRAGMA key = \"x'" + "42" * 32 + "'\"")
    run("PRAGMA cipher_page_size = 2048")
    run("PRAGMA cipher_hmac_algorithm = HMAC_SHA256")
    run("PRAGMA journal_mode = WAL")
    run("PRAGMA synchronous = FULL")
    run("CREATE TABLE account (id INTEGER PRIMARY KEY, balance INTEGER NOT NULL)")
    run(
        "CREATE TABLE event (id INTEGER PRIMARY KEY, terminal TEXT, day TEXT, stan INTEGER, amount INTEGER,"
        " answer BLOB, UNIQUE (terminal, day, stan))"
    )
    run("CREATE TABLE entry (event INTEGER, account INTEGER, amount INTEGER)")
    connection.executemany("INSERT INTO account VALUES (?, ?)", [(number, 10**12) for number in range(1000)])
    done = 0
    started, cpu = time.perf_counter(), time.process_time()
    while time.perf_counter() - started < seconds:
        purse = done % 999 + 1
        run("BEGIN IMMEDIATE")
        (balance,) = run("SELECT balance FROM account WHERE id = ?", (purse,)).fetchone()
        run("UPDATE account SET balance = ? WHERE id = ?", (balance - 1250, purse))
        run(
            "INSERT INTO event VALUES (NULL, ?, '2026-11-20', ?, 1250, ?)",
            (f"T{done // 900_000:07d}", done % 900_000, bytes(120)),
        )
        run("INSERT INTO entry VALUES (?, ?, ?)", (done, purse, -1250))
        run("INSERT INTO entry VALUES (?, ?, ?)", (done, 0, 1250))
        run("COMMIT")
        done += 1
    elapsed = time.perf_counter() - started
    connection.close()
    return {"rate": done / elapsed, "cpu": time.process_time() - cpu, "count": done}


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as scratch:
        print(json.dumps(measure(float(sys.argv[1]), Path(scratch))))
