"""Adds 100 models of 10 versions each to the SQLite registry of an MLflow server, or takes them away.

Usage: fill_registry.py fill|empty DATABASE
"""

import sqlite3
import sys

what, database = sys.argv[1:]
TABLES = {"registered_models": 1, "model_versions": 10}
connection = sqlite3.connect(database, timeout=60)


def fill():
    for table, rows in TABLES.items():
        columns = [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
        names, marks = ", ".join(columns), ", ".join(f":{column}" for column in columns)
        pattern = connection.execute(f"SELECT * FROM {table} WHERE name = 'scripted'").fetchone()
        for number in range(100):
            for version in range(1, rows + 1):
                row = dict(zip(columns, pattern), name=f"filling {number}", version=version)
                connection.execute(f"INSERT INTO {table} ({names}) VALUES ({marks})", row)


def empty():
    for table in reversed(TABLES):
        connection.execute(f"DELETE FROM {table} WHERE name LIKE 'filling %'")


with connection:
    {"fill": fill, "empty": empty}[what]()
