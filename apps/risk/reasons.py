"""Why the risk app refuses an option, an input, a row or a series: stable codes, each with one sentence.

What a sentence quotes is an option, a name of a file, column or series, or a number: never a cell of the table.
"""

from __future__ import annotations

from core.errors import ConfigError, InputError, InternalFault, ItemRefused
from core.reasons import Reasons


class InputAwaited(InputError):
    """An input, or the database for the scores, is not there or not up to date, and may still come."""


class WriteInterrupted(InputError):
    """A database failed while scores were written; it is as it was."""


OPTIONS = Reasons(
    ConfigError,
    "Options that cannot be used as they are.",
    {
        # the columns of a table
        "column_name": 'a column may not be called "{name}" or have an empty name',
        "columns_empty": "{path} holds no roles: wanted lines such as 'entity: client'",
        "columns_missing": "{path} cannot be read: {cause}",
        "columns_unreadable": "{path} is not valid YAML in UTF-8",
        "decimal_unknown": "decimal={value} is not a valid decimal mark: wanted point or comma",
        "nothing_to_forecast": "nothing to forecast: name a column in targets, or an event",
        "role_doubled": 'column "{column}" has two roles: give each column one role',
        "role_not_names": "{role}={value} is not a valid list of column names",
        "role_several_names": "{role} takes one name, not {count}",
        "role_unknown": '{where} has no "{name}": {hint}',
        # the data
        "data_no_table": "one table is scored, a sample or data.path: add data=SAMPLE, or data.path=…",
        "data_two_tables": "one table is scored, a sample or data.path: leave data.sample null",
        "max_age_value": "data.max_age={text} is not a valid age: wanted steps or time such as '3 steps', '2 days', "
        "'36 h' or '90 min', {off} for any age, or null for a few of each series' own steps",
        "outcome_without_event": "data.outcome_after= is for a table with an event: name it by data.event=",
        "sample_columns": "data.{option} describes a table of your own, and the sample {sample} has its own columns: "
        "leave data.{option} out, or add data=table data.path=…",
        # the stages
        "mixture_not_scored": "data=mixture is generated series to train on: it has no date to score",
        "outcome_horizon": "data.outcome_after= puts the outcome one step of the calendar ahead: add model.horizon=1",
        "registered_option_unknown": "the registered scoring has an {sentence}, of an earlier release: register it "
        "again",
        "schedule_as_of": "schedule= scores as of the time at which each scoring is due: leave as_of out",
        "training_not_needed": "model={model} needs no training for this table: score with it at once",
        # the model
        "backtest_models_empty": "backtest.models=[] compares nothing: name one or more of {choices}",
        "backtest_models_twice": "backtest.models names {model} twice: leave one of them out",
        "champion_and_model": "score.champion= lets an evaluation name the model, and model={model} names one, too: "
        "leave one of them out",
        "group_unused": "data.group={group} is of use to a riskformer of series alone, and no such model is asked: "
        "leave it out, or add model=riskformer",
        "model_not_in_part": "model={model} cannot forecast {kind}, for which {folder} was trained: models of {kind} "
        "are {models}",
        "model_size": "model={size} names a size to train or to plan, and stage={stage} takes that of the weights: "
        "name them by weights=…, with model=riskformer",
        "model_cannot_forecast": 'model={model} cannot forecast "{label}": models of {what} are {models}; name one of '
        "them, or leave {option} out",
        "weights_without_riskformer": "weights={weights} holds no riskformer of targets to go on from",
    },
)

INPUTS = Reasons(
    InputError,
    "Inputs and outputs of a whole command that cannot be used.",
    {
        # the as-of time
        "as_of_before_data": "nothing was known as of {as_of}: the first row became known on {first}; choose a later "
        "as_of",
        "as_of_doubtful": "without as_of the data's last date counts, {last}, and it lies far after the others, which "
        "end on {usual}: correct that row, or say which date is meant, such as as_of={usual}",
        "as_of_offset": "as_of={text} has an offset: leave it out, or name by data.zone= the zone into which times are "
        "converted",
        "as_of_skipped": "as_of={text} does not exist in {zone}, whose clock is put ahead over it: choose a time "
        "before or after",
        "as_of_twice": "as_of={text} comes twice in {zone}, whose clock is put back: wanted as_of={first} or "
        "as_of={second}",
        "as_of_value": "as_of={text} is not a valid date: wanted one such as 2024-06-30, which means the end of that "
        "day, or a time such as 2024-06-30T17:30",
        # files and folders
        "encoding_unknown": "data.encoding={encoding} is not a known encoding: wanted one such as latin-1, cp1252 or "
        "utf-16",
        "encoding_unread": "data.encoding= is for CSV files, and {name} is not one: leave it out",
        "format_unknown": "the format of {source} is not known: wanted {formats}, a folder of Parquet files, or a "
        "database such as sqlite:///file.db",
        "sample_file": "this sample needs risk/{name}: set $TRIPTYCH_DATA to the folder of real data sets",
        "sample_package": "this sample comes with the package {package}: pip install {package}",
        "sample_unknown": 'there is no sample "{name}": {hint}',
        "table_encoding": "{path} is not written in {encoding}: name its encoding, such as data.encoding=latin-1 or "
        "data.encoding=cp1252",
        "table_unreadable": "{source} cannot be read: {cause}",
        # databases that are read
        "sql_driver": "{doing} {driver} needs the package {package}: install it",
        "sql_failed": "{database} refuses the request: {cause}",
        "sql_no_rows": "{database} returns no rows for the query: wanted a SELECT",
        "sql_table": "{database} needs either the name of a table or a query",
        "sql_unknown": "{driver} is not a known type of database",
        "sql_url": "the database's URL cannot be read: wanted one such as sqlite:///file.db or "
        "postgresql://host/db",
        # databases that are written
        "sql_columns": "table {table} of {database} has no column {columns}: add it, or name another table",
        "sql_key": "table {table} of {database} has the primary key ({key}): wanted ({wanted})",
        "sql_old_layout": "table {table} of {database} is of the old layout, which keeps one scoring a date: run the "
        "following once, which calls its rows '{scoring}' (score.name={scoring} continues them), or name another table "
        "by score.sql_table: BEGIN; {statements}; COMMIT;",
        "sql_sink_unknown": "scores are not written to {driver}: wanted sqlite or postgresql",
        "sql_type": "column {column} is of type {type}, which SQL has not",
        "sql_write_failed": "{database} refuses the scores for {table}: {cause}",
        # partitions
        "input_late": "{sentence}. The scoring due at {due} waits for its input until {until} "
        "(score.wait_h={wait_h:g})",
        "manifest_changed": "{path} is not as it was written: score this date again",
        "manifest_missing": "{path} cannot be read: {cause}",
        "partition_changed": "{folder} is not as it was written ({differences}): score this date again",
        # the table
        "column_doubled": '{where} has "{column}" more than once: rename one of them',
        "column_missing": '{where} has no column "{column}": {hint} (columns missing: {count})',
        "group_too_large": "a group of data.group has {size} series, and at most {most} are taken together: name a "
        "column of smaller groups, or leave data.group out",
        "history_missing": "no series has a row up to the as-of date: choose a later as_of",
        "not_cross_section": 'data.outcome_after= is for a table of one row for each {entity}, and "{name}" has more: '
        "leave it out, since the rows of one entity tell what came later",
        "not_one_time": "data.outcome_after= is for rows that are all of one time, and these are of {times}: score or "
        "train each time by itself, or give each {entity} rows at several times",
        "nothing_left": "no row can be used ({listed}); the first, row {row}: {sentence}",
        "too_many_rejected": "{rejected} of {total} rows would be set aside, more than data.max_rejected={most:g} "
        "allows, {commonest}; all are listed in {path}, and nothing else was done",
        "too_many_rows_rejected": "{rejected} of {total} rows would be set aside, more than max_rejected={most:g} "
        "allows, {commonest}",
        # portfolios
        "portfolio_weight": 'the weight of "{entity}" in "{portfolio}" is not finite: {weight}',
        "portfolios_doubled": "{path}, line {line}: this holding is there twice, keep one",
        "portfolios_empty": "{path} has no row: wanted {columns}",
        "portfolios_missing": "{path} cannot be read: {cause}",
        "portfolios_schema": '{path} has no column "{column}": wanted {columns}',
        "portfolios_unreadable": "{path} is not valid CSV in UTF-8 with a header line",
        "portfolios_value": "{path}, line {line}: wanted a portfolio, an entity and a finite weight",
        # the weights
        "description_field_missing": '{path} has no field "{field}": copy the model\'s folder anew, or train it again',
        "description_field_unknown": '{path} has an unknown field "{field}": copy the model\'s folder anew, or train '
        "it again",
        "description_unreadable": "{path} cannot be read as the description of a model",
        "artifacts_unused": "artifacts= runs networks of a riskformer, and the models that score are {models}: add "
        "model=riskformer, or leave artifacts= out",
        "export_no_network": "{folder} holds no riskformer that forecasts this table, and no other model of it is a "
        "network that is exported: name by weights= a folder that has one",
        "horizon_too_long": "{model} was trained for {trained} steps ahead, not {horizon}: train it with "
        "model.horizon={horizon}",
        "label_differs": '{model} was trained to forecast "{trained}", not "{label}"',
        "model_missing": "{folder} holds no model: train one by stage=train",
        "model_of_event_only": "{folder} forecasts no target, only an event: leave {model} out of the models",
        "model_unsuited": 'the model does not forecast "{label}": leave {option} out, or name by weights= a folder '
        "trained for it",
        "model_unknown": "{folder} has no {model}: it has {models}; train it by stage=train model={model}",
        "package_missing": "tft and deepar are networks of pytorch-forecasting, which is not installed: "
        "pip install 'pytorch-forecasting>=1.8'",
        "schema_differs": "the model was trained with {role} {trained}, the table has {given}: name the same columns "
        "in the same order, or train a model of this table",
        "schema_lacks": 'the model was trained with "{column}" as {role}, which the table does not have: name such a '
        "column, or train the model on this table",
        "weights_damaged": "{path} is missing, damaged or of another model: copy the model's folder anew, or train it "
        "again",
        "weights_missing": "{folder} has no {file}: name a folder of a trained model",
        "weights_newer": "{path} is of format {format}, and this program knows up to {newest}: update it",
        "weights_unreadable": "{folder} holds no model that this version can read: train it again",
        "weights_unsound": "{folder} holds a network that forecasts nonsense, as after a training that diverged: train "
        "it again",
        # training and evaluation
        "backtest_empty": "no series of {label} can be walked through its past: {codes}",
        "backtest_event": "this table has an event and no target: stage=evaluate judges models of an event, "
        "stage=backtest VaR",
        "backtest_short": "the table has {known} steps ({calendar}), and a walk over {days} needs {needed}: set "
        "backtest.days to {most} or less",
        "champion_differs": "a scoring has one model of all targets, and the champions are {listed}: score them apart, "
        "each by data.targets=… and an output of its own",
        "champion_missing": 'the evaluation chose champions of {labels}, and none of "{label}": evaluate this table by '
        "stage=evaluate",
        "champion_unknown": '"{model}" cannot forecast "{label}"; there are {models}: evaluate anew',
        "champion_unreadable": "{path} is not a {name} of stage=evaluate: name the folder that it wrote as its output",
        "event_always": "{event} is 1 wherever it is known, in {rows} rows: write 0 in rows in which it did not "
        "happen, as an empty cell means that it is not known",
        "evaluate_empty": "no model has a forecast on any development date: take an earlier start or more rows",
        "event_few_clients": "only {fewest} client stands for one outcome of the event, and a calibration out of fold "
        "needs 2: take more clients, or the scorecard",
        "event_model_missing": "the weights hold no model of an event: train one by stage=train",
        "event_one_row": "each {entity} has one row, so that no row tells what came after it: add "
        "data.outcome_after=MONTHS and model.horizon=1 if all rows are of one time and {event} tells what became of "
        "the {entity} so many months after it, or give each {entity} rows at several times",
        "event_one_sided": "the event happened to {happened} of {clients} clients: a probability is learned from both "
        "outcomes; take an earlier as-of date, or more clients",
        "event_rare": "of {clients} clients of a part all or none had the event: models cannot be compared on it",
        "event_too_rare": "there are {outcomes} outcomes of the event to learn from, too few to keep some apart for "
        "the choice of the model: add entities or times",
        "event_unknown": "there is no date of which it is known whether the event came within {horizon} steps: take a "
        "later as-of date, or a shorter model.horizon",
        "outcome_unknown": "no outcome within {horizon} steps is known as of {as_of}: take a later as_of",
        "plan_model": "model.name={model} has no size to plan: add model=10b, or another of {sizes}",
        "training_diverged": "the training diverged: its loss went from {before:.4g} to {after:.4g}, and no model was "
        "left; lower trainer.learning_rate and train in a new run_dir",
        "training_too_short": "no series has {shortest} rows of past and {horizon} steps ahead to learn from: shorten "
        "model.horizon, or take longer series",
    },
)

AWAITED = Reasons(
    InputAwaited,
    "Inputs, or a database for the scores, that may still come: a scheduled scoring waits for them (score.wait_h).",
    {
        # files and folders
        "folder_empty": "{path} holds no file that ends in {endings}",
        "header_missing": "{path} has no header line",
        "table_missing": "{source} does not exist: name a file, a folder or a database",
        # databases that are read
        "sql_file": "{database} cannot be read: {cause}",
        "sql_schema_missing": '{database} has no schema "{schema}": {hint}',
        "sql_table_missing": '{database} has no table "{table}": {hint}',
        "sql_unreachable": "{database} does not answer: {cause}",
        # databases that are written
        "sql_outage": "{sentence}; tried {tries} times. The scores are in {folder}: the same command again "
        "completes the table",
        # the table
        "data_too_old": "as of {as_of} no series is up to date: of the newest one, {sentence}: bring the data up to "
        "date, choose an earlier as_of, or allow more",
        "table_empty": "the table has columns but no rows",
    },
)

INTERRUPTIONS = Reasons(
    WriteInterrupted,
    "Outages while scores are written to a database: nothing was written, and it is tried again.",
    {
        "sql_write_interrupted": "{database} failed while {table} was written, which is as it was: {cause}",
    },
)

ASIDE = Reasons(
    ItemRefused,
    "Tables of which parts were set aside: the file of a date in the folder `quarantine`.",
    {"parts_set_aside": "parts of it could not be used ({counted})"},
)

ROWS = Reasons(
    ItemRefused,
    "Rows of a table that are set aside. {column} is the column at fault.",
    {
        "row_shape": "the line does not have as many values as the header",
        "entity_missing": "{column} is empty: each row needs its entity",
        "time_missing": "{column} is empty: each row needs its time",
        "time_value": "{column} is not a valid time: wanted ISO 8601 such as 2024-03-31, or name how it is written by "
        "data.time_format (unix or unix_ms: seconds or milliseconds since 1970)",
        "time_zone": "{column} has an offset from UTC and most rows have none, or the other way round: name a zone",
        "time_skipped": "{column} does not exist in the zone, whose clock is put ahead over it: write it with its "
        "offset",
        "time_doubled": "{column} comes twice in the zone, whose clock is put back: write it with its offset",
        "not_a_number": "{column} is not a valid number: wanted one such as 1234.5, or nothing where it is not known",
        "number_unclear": "{column} may be one of two numbers, as 1,234 may be 1234 or 1.234: name the mark before "
        "fractions, data.decimal=point or data.decimal=comma",
        "infinite": "{column} is infinite: leave it empty where it is not known",
        "out_of_range": "{column} is larger in size than a plausible value: correct its unit, or leave it empty",
        "event_value": "{column} is neither 0 nor 1: wanted 1 where the event happened, 0 where it did not, and "
        "nothing where it is not known yet",
        "future_dated": "{column} holds a value later than the as-of date by which it claims to be known",
        "duplicate_row": "the row is there more than once: one copy is kept",
        "duplicate_key": "other rows of this entity and time have other values: keep one, or name by data.known_at "
        "when each became known",
    },
)

SERIES = Reasons(
    ItemRefused,
    "Series and portfolios without a forecast, or with a fallback: column `reason` of scores and of backtests.",
    {
        # before a model is asked
        "rows_rejected": "no row of it can be used (of {rows}); the first: {first}",
        "no_history": "it has rows known in advance only, and none up to the as-of date",
        "event_happened": "its event has happened by the as-of date: it is not scored",
        "stale": "its last {what} lies {age} steps back, and at most {oldest} are allowed (data.oldest)",
        "too_old": "its last {what}, of {last}, is {age} old, and at most {limit} are allowed (data.max_age)",
        "own_calendar": "it has times of its own and shares no day with the others",
        "no_common_calendar": "its series have calendars of which none is a whole number of steps of the others (such "
        "as weeks and months, or times without a rule): leave one type out",
        "holds_refused": "it holds a series without a forecast, or one that is not in the table",
        # by the table or by a model
        "all_missing": "it has no value from which {label} could be forecast",
        "too_short": "it has too few known values of {label} for a forecast",
        "constant": "its values of {label} are all the same: it has no risk that could be measured",
        # by a model
        "implausible": "the forecast of {label} lies far outside all that it has been",
        "too_large": "the forecast of {label} is larger than a number can be",
        "fit_short": "it has too few values of {label} to fit the model: a rule with usual parameters is used",
        "fit_failed": "the model could not be fitted to {label}: a rule with usual parameters is used",
        "season_missing": "some step of the season never had a value of {label}: the last known value is used",
        "no_errors": "no two values of {label} lie one season apart: the spread is 0",
        # in a backtest
        "no_outcome": "it has no value of {label} on any day of the walk",
        "too_few_days": "it has too few days in common with the other models to be tested",
        "too_few_expected": "too few exceedances are expected at this level for the tests to say anything",
    },
)

DEFECTS = Reasons(
    InternalFault,
    "Defects of the program that a check found.",
    {
        "calendars_mixed": "a panel has {calendars} calendars where one is needed",
        "manifest_empty": "a partition needs at least one file, an empty table's too",
        "manifest_units": "columns and units differ: {names}",
        "panel_unsorted": "the table is not sorted by entity and time, or has a key twice",
        "paths_differ": "slices of one panel have different numbers of paths",
        "score_columns": "the columns of the scores are not those of the layout: {differing}",
        "score_key_doubled": "two rows of the scores have the same key",
        "score_key_missing": "a row of the scores has no value in its key",
        "score_layout": "the key must name columns, and {reserved} may be none",
        "score_layout_float": "the key may hold no floating-point number",
        "score_types": "the scores do not have the types of the layout",
    },
)

# Notes on a table that is used as it is: what a person should know before the results are read.
NOTE_SENTENCES = {
    # how it was read
    "lines_skipped": "lines above the header of {name} that were skipped: {count}",
    "read_comma": "{count} of {total} values of {name} are written with a decimal comma (1,5), and read as 1.5",
    "read_currency": "{count} of {total} values of {name} are written with a currency sign ({signs}), and read without "
    "it",
    "read_grouped": "{count} of {total} values of {name} are written in groups of digits (1,234.5), and read as 1234.5",
    "read_minus_one": "{count} of {total} values of {name} are -1, and read as 0 (the event did not happen)",
    "read_negative": "{count} of {total} values of {name} are written as (1.23), 1.23- or with a long minus, and read "
    "as -1.23",
    "read_percent": "{count} of {total} values of {name} are written in percent, and read as fractions (12 % is 0.12)",
    "time_format": "data.time_format={format} does not read {count} of {total} times of {name}: those that it reads "
    "may be misread, too, with day and month exchanged; check how they are written",
    # what a model makes of it
    "categories_unseen": "categories of {name} that {model} was not trained on count as unknown: {categories} "
    "({shown}), of {count} entities",
    "columns_unread": "{count} of {total} declared columns ({shown}) are not read by {models}",
    "few_observations": "{count} series have fewer than {fewest} observations, so that their 1 % VaR is extrapolated: "
    "see the columns observations and note ({code})",
    "level": "{label} looks like a level, such as a price, in {count} of {total} series (always above 0, and each "
    "value near the one before): value at risk and shortfall of several steps add its values up, which is meant for "
    "changes; give returns, such as changes of the logarithm, if a loss is meant",
    "seen_before_end": "models of {part} were trained on data until {until} and forecast days before that: figures of "
    "days that they have seen flatter them, and are not out of sample",
    "seen_from_day": "models of {part} were trained on data until {until} and forecast days from {day} on: figures of "
    "days that they have seen flatter them, and are not out of sample",
}


def note(code: str, /, **values: object) -> str:
    """Return the sentence of a note with its values filled in."""
    return NOTE_SENTENCES[code].format(**values)
