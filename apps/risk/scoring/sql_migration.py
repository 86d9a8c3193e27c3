"""How a SQL table of scores is brought from the old layout, keyed by date alone, to the present one.

The old layout kept one scoring a date: its primary key was (as_of, *layout.key), without scoring, time and model.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

import sqlalchemy as sa
from sqlalchemy.schema import CreateTable

OLD_SCORING = "earlier"  # scoring that the rows of the old layout get
_END_OF_DAY = "T23:59:59.999999"


def is_of_old_layout(columns: Collection[str], primary: Sequence[str], key: Sequence[str]) -> bool:
    """Whether a table with these columns and this primary key is one of scores in the old layout."""
    return "scoring" not in columns and sorted(primary) == sorted(("as_of", *key))


def migration(
    dialect: sa.Dialect,
    table: sa.Table,
    key: Sequence[str],
    columns: Collection[str],
    primary: str | None,
) -> list[str]:
    """Return the statements that migrate a table of the old layout.

    table: of the present layout. key: its primary key. columns: of the old table. primary: name of its key. PostgreSQL
    changes the table, SQLite, which cannot change a key, copies it and keeps the old one.
    """
    return (
        _copy(dialect, table, columns) if dialect.name == "sqlite" else _change(dialect, table, key, primary)
    )


def _change(dialect: sa.Dialect, table: sa.Table, key: Sequence[str], primary: str | None) -> list[str]:
    quoted = dialect.identifier_preparer
    name = quoted.format_table(table)
    columns = ", ".join(quoted.quote(column) for column in key)
    dropped = f"DROP CONSTRAINT {quoted.quote(primary)}, " if primary else ""
    times = f"to_char(as_of, 'YYYY-MM-DD') || '{_END_OF_DAY}'"
    return [
        f"ALTER TABLE {name} ADD COLUMN scoring TEXT, ADD COLUMN as_of_time TEXT",
        f"UPDATE {name} SET scoring = '{OLD_SCORING}', as_of_time = {times}",
        f"ALTER TABLE {name} {dropped}ADD PRIMARY KEY ({columns})",
    ]


def _copy(dialect: sa.Dialect, table: sa.Table, old_columns: Collection[str]) -> list[str]:
    quoted = dialect.identifier_preparer
    name, old_plain = quoted.format_table(table), quoted.quote(f"{table.name}_old")
    old = f"{quoted.quote(table.schema)}.{old_plain}" if table.schema else old_plain
    kept = ", ".join(quoted.quote(column.name) for column in table.columns if column.name in old_columns)
    create = " ".join(str(CreateTable(table).compile(dialect=dialect)).split())
    values = f"SELECT '{OLD_SCORING}', as_of || '{_END_OF_DAY}', {kept} FROM {old}"
    return [
        f"ALTER TABLE {name} RENAME TO {old_plain}",
        create,
        f"INSERT INTO {name} (scoring, as_of_time, {kept}) {values}",
    ]
