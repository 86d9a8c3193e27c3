"""What the scoring service answers to a request that it cannot serve.

Codes of tables, columns and options are in `apps.risk.reasons`, as stage=score has them; of every service in
`core.serving.reasons`. What a sentence quotes is a name, a number or an option, never a cell of the table.
"""

from __future__ import annotations

from core.serving.service_error import ServiceReasons

REQUEST = ServiceReasons(
    "A request to score a table",
    {
        "body_encoded": (415, "the body has a Content-Encoding, {encoding}: send it as it is"),
        "options_in_address": (400, "{param} stands in the address: a JSON body holds all options itself"),
        "option_twice": (400, "{param} is given twice in the address"),
        "table_form": (
            400,
            "table must be a list of objects, one a row, or an object of lists of the same length, one a column",
        ),
        "table_cell": (
            400,
            "row {row} of {column} is a list or an object: wanted a number, a text, or null where it is not known",
        ),
        "table_text": (400, "a text of the request has half of a surrogate pair, which no encoding has"),
        "table_too_large": (
            413,
            (
                "the table has {rows:,} rows of {columns} columns: at most {most_rows:,} rows and {most_cells:,} cells "
                "are taken; send it in parts, or score it by stage=score"
            ),
        ),
    },
)
