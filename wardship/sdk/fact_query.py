"""Questions to the facts: one SQL SELECT in DuckDB's dialect, checked before it runs and carried to other engines.

What may be written is an allow-list of SQL, chosen so that an answer is the same on every engine and a query can
reach nothing but the fact tables: no function, statement, table or parameter outside the lists below. A query
without a check never reaches an engine.

What may be named is a `Language`: RULES for rules over the facts; detections and hunts have more tables and, since they
ask about sequences of events, more of SQL (`wardship.sdk.detection`).

Two things are said more exactly than they are written, so that engines agree: `date_diff('day', a, b)` counts
midnights (UTC) between a and b, and `:as_of` is a TIMESTAMP.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import Any

import sqlglot
from sqlglot import exp
from sqlglot.errors import OptimizeError, ParseError, SqlglotError
from sqlglot.optimizer.qualify import qualify
from sqlglot.optimizer.scope import traverse_scope
from sqlglot.schema import MappingSchema

from wardship.model.errors import ConfigError
from wardship.model.facts import FACTS
from wardship.model.policy import PARAMETERS
from wardship.sdk.i18n import _

DIALECTS = ("duckdb", "postgres", "spark", "clickhouse", "trino", "snowflake", "bigquery")

MAX_CHARS = 20_000

_SHAPE: tuple[type[exp.Expr], ...] = (
    exp.Select, exp.From, exp.Join, exp.Where, exp.Group, exp.Having, exp.Distinct, exp.Subquery, exp.With, exp.CTE,
    exp.Table, exp.TableAlias, exp.Alias, exp.Column, exp.Identifier, exp.Star, exp.Literal, exp.Null, exp.Boolean,
    exp.Placeholder, exp.Paren, exp.Tuple, exp.DataType, exp.Var,
)  # fmt: skip
_OPERATORS: tuple[type[exp.Expr], ...] = (
    exp.And, exp.Or, exp.Not, exp.EQ, exp.NEQ, exp.LT, exp.LTE, exp.GT, exp.GTE, exp.Is, exp.In, exp.Exists,
    exp.Between, exp.Like, exp.ILike, exp.Add, exp.Sub, exp.Mul, exp.Neg, exp.DPipe, exp.Case, exp.If, exp.Cast,
)  # fmt: skip
_FUNCTIONS: Mapping[type[exp.Expr], str] = {
    exp.Coalesce: "coalesce",
    exp.Nullif: "nullif",
    exp.Lower: "lower",
    exp.Upper: "upper",
    exp.Trim: "trim",
    exp.Length: "length",
    exp.Count: "count",
    exp.Min: "min",
    exp.Max: "max",
    exp.Sum: "sum",
    exp.DateDiff: "date_diff",
    exp.JSONExtractScalar: "json_extract_string",
}
_JSON_PATH = (exp.JSONPath, exp.JSONPathRoot, exp.JSONPathKey)
_ALLOWED = frozenset((*_SHAPE, *_OPERATORS, *_FUNCTIONS, *_JSON_PATH))
_SEQUENCE_SHAPE: tuple[type[exp.Expr], ...] = (
    exp.Window, exp.WindowSpec, exp.Order, exp.Ordered, exp.Filter, exp.Union, exp.Interval, exp.Div, exp.IntDiv,
    exp.Mod, exp.NullSafeEQ, exp.NullSafeNEQ, exp.IgnoreNulls,
)  # fmt: skip
_SEQUENCE_FUNCTIONS: Mapping[type[exp.Expr], str] = {
    **_FUNCTIONS,
    exp.TimestampTrunc: "date_trunc",
    exp.Extract: "extract",
    exp.LogicalOr: "bool_or",
    exp.LogicalAnd: "bool_and",
    exp.GroupConcat: "string_agg",
    exp.AnyValue: "any_value",
    exp.ArgMin: "arg_min",
    exp.ArgMax: "arg_max",
    exp.Avg: "avg",
    exp.Stddev: "stddev",
    exp.PercentileCont: "quantile_cont",
    exp.Greatest: "greatest",
    exp.Least: "least",
    exp.Abs: "abs",
    exp.Round: "round",
    exp.Ln: "ln",
    exp.Sqrt: "sqrt",
    exp.RegexpLike: "regexp_matches",
    exp.Contains: "contains",
    exp.StartsWith: "starts_with",
    exp.EndsWith: "ends_with",
    exp.SplitPart: "split_part",
    exp.Substring: "substring",
    exp.Replace: "replace",
    exp.ConcatWs: "concat_ws",
    exp.Lag: "lag",
    exp.Lead: "lead",
    exp.RowNumber: "row_number",
    exp.DenseRank: "dense_rank",
}
_SEQUENCE_UNITS = frozenset({"SECOND", "MINUTE", "HOUR", "DAY"})
_READ_AGAIN = frozenset({"use_read_at", "last_used_at", "use_since", "last_seen_at"})
_TYPES = frozenset({"TEXT", "VARCHAR", "INT", "BIGINT", "DOUBLE", "BOOLEAN", "DATE", "TIMESTAMP", "TIMESTAMPNTZ"})
_INSTANTS = frozenset({"as_of", "since"})
"""Parameters that are TIMESTAMPs; the others are whole numbers."""
_UNRESOLVED = re.compile(r"[Cc]olumn:? '?([A-Za-z_]\w*)'?(?: could not be resolved|$)")
_JOINS = frozenset({"", "INNER", "LEFT", "LEFT OUTER", "CROSS"})


@dataclass(frozen=True, kw_only=True, eq=False)
class Language:
    """What a query may name: `tables` with their columns and DuckDB types, and the functions.

    `sequences` adds what questions about events in time need: windows, FILTER, UNION, intervals, more functions, and
    date_diff in seconds to days. `ordered` adds ORDER BY. Compared by identity: make one and keep it.
    """

    tables: Mapping[str, Mapping[str, str]]
    sequences: bool = False
    ordered: bool = False

    @property
    def functions(self) -> Mapping[type[exp.Expr], str]:
        return _SEQUENCE_FUNCTIONS if self.sequences else _FUNCTIONS

    @cached_property
    def schema(self) -> MappingSchema:
        """The tables as the resolver of columns takes them."""
        tables: dict[str, object] = {table: dict(columns) for table, columns in self.tables.items()}
        return MappingSchema(tables, dialect="duckdb")

    @cached_property
    def allowed(self) -> frozenset[type[exp.Expr]]:
        if not self.sequences:
            return _ALLOWED
        more = (exp.Order, exp.Ordered) if self.ordered else ()
        return frozenset((*_ALLOWED, *_SEQUENCE_SHAPE, *_SEQUENCE_FUNCTIONS, *more))


RULES = Language(tables=FACTS)


@dataclass(frozen=True, kw_only=True)
class FactQuery:
    """A checked query. `columns` are the names of its result in order, `tables` and `parameters` what it names, `uses`
    the columns it reads of each fact table.

    `moving` are the result columns that change although nothing happened: because a day passed (they are computed
    with :as_of) or because the same was read again.
    """

    text: str
    columns: tuple[str, ...]
    moving: frozenset[str]
    tables: frozenset[str]
    parameters: frozenset[str]
    uses: Mapping[str, frozenset[str]]
    _tree: exp.Expr = field(repr=False)

    @cached_property
    def _sql(self) -> dict[str, str]:
        return {}

    def sql(self, dialect: str = "duckdb") -> str:
        """The query in `dialect` (one of DIALECTS), its parameters named in that dialect's own way."""
        if dialect not in self._sql:
            self._sql[dialect] = _dialect_tree(self._tree, dialect).sql(dialect=dialect, comments=False)
        return self._sql[dialect]

    def readable(self, dialect: str = "duckdb") -> str:
        """The query in `dialect` for a person to read and copy, over several lines."""
        return _dialect_tree(self._tree, dialect).sql(dialect=dialect, comments=False, pretty=True)

    def unfiltered(self, dialect: str = "duckdb") -> str:
        """The same result columns for every subject, whether the query's WHERE holds for it or not."""
        tree = self._tree.copy()
        tree.set("where", None)
        return _dialect_tree(tree, dialect).sql(dialect=dialect, comments=False)

    def arguments(self, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """The values, out of all `parameters`, that this query names."""
        return {name: parameters[name] for name in sorted(self.parameters)}

    def unfiltered_arguments(self, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """The values that `unfiltered` names: a parameter of the WHERE alone is not among them."""
        tree = self._tree.copy()
        tree.set("where", None)
        return {name: parameters[name] for name in sorted({one.name for one in tree.find_all(exp.Placeholder)})}


def compile_query(text: str, *, parameters: Collection[str] = PARAMETERS, language: Language = RULES) -> FactQuery:
    """Checks `text` and resolves every column. Raises ConfigError saying what is not allowed, where in the query."""
    return _compiled(text, frozenset(parameters), language)


@lru_cache(maxsize=1_000)  # rules are loaded several times in a run; checking one takes about 20 ms
def _compiled(text: str, parameters: frozenset[str], language: Language) -> FactQuery:
    if len(text) > MAX_CHARS:
        raise ConfigError(
            _("the query has more than %(max_chars)s characters") % {"max_chars": MAX_CHARS}, advice=_("split the rule")
        )
    try:
        statements = [tree for tree in sqlglot.parse(text, read="duckdb") if tree is not None]
        if len(statements) != 1 or not isinstance(statements[0], exp.Select):
            raise ConfigError(_("a query is one SELECT and nothing else"), advice=_("write a single SELECT statement"))
        tree: exp.Expr = statements[0]
        _check(tree, parameters, language)
        tree = qualify(tree, schema=language.schema, dialect="duckdb", quote_identifiers=True)
        _check_reach(tree, language.tables)
        if whole := next((one for one in tree.find_all(exp.TableColumn)), None):
            raise _refused(whole, _("%(name)r is no column") % {"name": whole.name}, _("name a column of a fact table"))
        columns = _result_columns(tree)
        named = frozenset(placeholder.name for placeholder in tree.find_all(exp.Placeholder))
        tables = frozenset(table.name for table in tree.find_all(exp.Table)) & set(language.tables)
        uses = _uses(tree, language)
        tree = tree.transform(_say_exactly, copy=False)
    except SqlglotError as error:
        raise _not_understood(error) from None
    except RecursionError:
        raise ConfigError(_("the query is nested too deeply"), advice=_("simplify it")) from None
    return FactQuery(
        text=text, columns=columns, moving=_moving(tree), tables=tables, parameters=named, uses=uses, _tree=tree
    )


def _check(tree: exp.Expr, parameters: Collection[str], language: Language) -> None:
    tables = language.tables
    ctes = {cte.alias for cte in tree.find_all(exp.CTE)}
    for node in tree.walk():
        if type(node) not in language.allowed:
            raise _refused(
                node,
                _("%(node)s is not allowed") % {"node": _word(node)},
                _("allowed functions: %(names)s") % {"names": ", ".join(language.functions.values())},
            )
        match node:
            case exp.Table():
                if node.args.get("db") or node.args.get("catalog"):
                    raise _refused(
                        node, _("table %(node)s names a schema") % {"node": node.sql()}, _("name the fact table alone")
                    )
                if node.name not in tables and node.name not in ctes:
                    raise _refused(
                        node,
                        _("no fact table is called %(name)r") % {"name": node.name[:80]},
                        _("tables: %(names)s") % {"names": ", ".join(tables)},
                    )
                if set(node.args) - {"this", "alias", "db", "catalog"} and any(
                    value for key, value in node.args.items() if key not in ("this", "alias")
                ):
                    raise _refused(node, _("a table stands plain"), _("remove what follows its name"))
            case exp.CTE() if node.alias in tables:
                raise _refused(
                    node, _("%(alias)r hides a fact table") % {"alias": node.alias}, _("give it another name")
                )
            case exp.With() if node.args.get("recursive"):
                raise _refused(node, _("WITH RECURSIVE is not allowed"), _("ask for an analysis pass instead"))
            case exp.Join():
                kind = f"{node.side} {node.kind}".strip().upper()
                if kind not in _JOINS or node.method or node.args.get("using"):
                    raise _refused(
                        node,
                        _("%(kind)s join is not allowed") % {"kind": kind or node.method or "this"},
                        _("use JOIN or LEFT JOIN ... ON"),
                    )
            case exp.Placeholder():
                if node.name not in parameters:
                    raise _refused(
                        node,
                        _("no parameter is called :%(name)s") % {"name": node.name or "?"},
                        _("known: %(names)s") % {"names": ", ".join(sorted(parameters))},
                    )
            case exp.Is() if not isinstance(node.expression, exp.Null):
                raise _refused(node, _("IS takes NULL only here"), _("write coalesce(x, TRUE) or x = FALSE"))
            case exp.DateDiff() if not _counts(node, language):
                raise _refused(node, _("date_diff counts days only"), _("write date_diff('day', start, end)"))
            case exp.RegexpLike() if not isinstance(node.expression, exp.Literal):
                raise _refused(node, _("a pattern is written out"), _("write regexp_matches(column, 'pattern')"))
            case exp.JSONExtractScalar() if not isinstance(node.expression, exp.JSONPath):
                raise _refused(node, _("a JSON path is written out"), _("write attributes ->> '$.name'"))
            case exp.Cast() if node.to.this.value not in _TYPES:
                raise _refused(
                    node,
                    _("no cast to %(what)s") % {"what": node.to.sql("duckdb")},
                    _("types: %(names)s") % {"names": ", ".join(sorted(_TYPES))},
                )
            case exp.Distinct() if node.args.get("on"):
                raise _refused(node, _("DISTINCT ON keeps a row by chance"), _("use GROUP BY and min or max"))
            case exp.Select() if any(
                node.args.get(part)
                for part in ("limit", "offset", "windows", "qualify", *(() if language.ordered else ("order",)))
            ):
                raise _refused(node, _("a query has no order and no limit"), _("remove ORDER BY, LIMIT and QUALIFY"))
            case _:
                pass
    _check_columns(tree, tables)


def _counts(node: exp.DateDiff, language: Language) -> bool:
    unit = node.text("unit").upper() if isinstance(node.args.get("unit"), exp.Var) else ""
    return unit in _SEQUENCE_UNITS if language.sequences else unit == "DAY"


def _check_columns(tree: exp.Expr, tables: Mapping[str, Mapping[str, str]]) -> None:
    """Refuses a name that nothing in the query has: the resolver would, but does not say where it stands."""
    known = {name for table in tree.find_all(exp.Table) for name in tables.get(table.name, ())}
    given = {alias.alias.lower() for alias in tree.find_all(exp.Alias)}
    given |= {column.name.lower() for alias in tree.find_all(exp.TableAlias) for column in alias.columns}
    for column in tree.find_all(exp.Column):
        if isinstance(column.this, exp.Identifier) and column.name.lower() not in known | given:
            raise _refused(
                column,
                _("%(name)r is no column of the tables that are named") % {"name": column.name[:80]},
                nearest(column.name, known),
            )


def _check_reach(tree: exp.Expr, tables: Mapping[str, Mapping[str, str]]) -> None:
    """Refuses a name that is a table of ours nowhere and a WITH's only elsewhere in the query: where it stands, an
    engine would look for a table or a file of its own that is called so."""
    reached: set[int] = set()
    for scope in traverse_scope(tree):
        for node, source in scope.selected_sources.values():
            if not isinstance(source, exp.Table) or source.name in tables:
                reached.add(id(node))
    for node in tree.find_all(exp.Table):
        if id(node) not in reached:
            raise _refused(
                node,
                _("no fact table is called %(name)r") % {"name": node.name[:80]},
                _("tables: %(names)s") % {"names": ", ".join(tables)},
            )


def _result_columns(tree: exp.Expr) -> tuple[str, ...]:
    names = tuple(select.alias_or_name for select in tree.selects)  # type: ignore[attr-defined] # a Select by now
    for name in names:
        if name.startswith("_col_") or not name.isidentifier():
            raise ConfigError(
                _("a result column has no name (%(name)s)") % {"name": name[:80]}, advice=_("name it: ... AS age_days")
            )
        if names.count(name) > 1:
            raise ConfigError(
                _("the result has two columns %(name)r") % {"name": name},
                advice=_("name one of them differently with AS"),
            )
    return names


def _uses(tree: exp.Expr, language: Language) -> dict[str, frozenset[str]]:
    read: dict[str, set[str]] = {}
    for scope in traverse_scope(tree):
        for column in scope.columns:
            source = scope.sources.get(column.table)
            if isinstance(source, exp.Table) and source.name in language.tables:
                read.setdefault(source.name, set()).add(column.name)
    return {table: frozenset(names) for table, names in sorted(read.items())}


def _moving(tree: exp.Expr) -> frozenset[str]:
    return frozenset(
        select.alias_or_name
        for select in tree.selects  # type: ignore[attr-defined] # a Select
        if any(one.name == "as_of" for one in select.find_all(exp.Placeholder))
        or any(column.name in _READ_AGAIN for column in select.find_all(exp.Column))
    )


def _say_exactly(node: exp.Expr) -> exp.Expr:
    if isinstance(node, exp.DateDiff) and node.text("unit").upper() == "DAY":
        node.set("this", exp.cast(node.this, exp.DataType.Type.DATE))
        node.set("expression", exp.cast(node.expression, exp.DataType.Type.DATE))
    elif isinstance(node, exp.Placeholder) and not isinstance(node.parent, exp.Cast):
        kind = exp.DataType.build("TIMESTAMP" if node.name in _INSTANTS else "INT", dialect="duckdb")
        return exp.cast(node.copy(), kind)
    return node


def _dialect_tree(tree: exp.Expr, dialect: str) -> exp.Expr:
    tree = tree.copy()
    for found in list(tree.find_all(exp.JSONExtractScalar)):
        if dialect == "postgres":  # its JSON functions take JSON, not text
            found.set("this", exp.cast(found.this, exp.DataType.Type.JSON))
        elif dialect == "clickhouse":  # its JSONExtractString says "" where nothing is
            keys = [exp.Literal.string(key.name) for key in found.expression.find_all(exp.JSONPathKey)]
            found.replace(exp.func("JSONExtract", found.this.copy(), *keys, exp.Literal.string("Nullable(String)")))
    for literal in tree.find_all(exp.Literal):
        if dialect == "postgres" and literal.is_string:  # psycopg reads % as the start of a parameter
            literal.set("this", literal.name.replace("%", "%%"))
    for placeholder in tree.find_all(exp.Placeholder):
        if dialect == "clickhouse":  # a parameter carries its type there
            placeholder.set("kind", "DateTime64(6)" if placeholder.name in _INSTANTS else "Int32")
    return tree


def _refused(node: exp.Expr, message: str, advice: str) -> ConfigError:
    line = next((part.meta["line"] for part in node.walk() if "line" in part.meta), None)
    if line:
        message = _("%(what)s (query line %(line)d)") % {"what": message, "line": line}
    return ConfigError(message, advice=advice)


def _word(node: exp.Expr) -> str:
    if isinstance(node, exp.Anonymous):
        return _("function %(name)s") % {"name": node.name.lower()[:80]}
    if isinstance(node, exp.Func):
        return _("function %(name)s") % {"name": node.sql_name().lower()}
    return type(node).__name__


def nearest(name: str, known: Iterable[str]) -> str:
    """The advice about a column that is not there: those that are called much like it, and where all of them are."""
    close = difflib.get_close_matches(name, sorted(known), n=3)
    everything = _("an editor proposes all columns from the .schema.json that `wardship rules new` writes")
    if not close:
        return everything
    return _("did you mean %(name)s?") % {"name": ", ".join(close)} + " " + everything


def _not_understood(error: SqlglotError) -> ConfigError:
    """What the parser or the resolver trips over, in our words: theirs speak of their own classes."""
    if isinstance(error, ParseError) and error.errors:
        where = error.errors[0]
        return ConfigError(
            _("the query is not readable as SQL at %(text)r (query line %(line)d)")
            % {"text": str(where["highlight"])[:80], "line": where["line"]},
            advice=_("look around that word for a missing name, comma, bracket or quote"),
        )
    if column := _UNRESOLVED.search(str(error)):
        return ConfigError(
            _("it is not clear which table the column %(name)r is of") % {"name": column[1][:80]},
            advice=_("write the table before it, by its short name, and look whether the table has it: i.name"),
        )
    if isinstance(error, OptimizeError):
        return ConfigError(
            _("the tables and columns of the query do not fit together"),
            advice=_("give every table a short name of its own, and write it before each column: i.name"),
        )
    return ConfigError(
        _("the query is not readable as SQL"), advice=_("look for a quote or a comment that is not closed")
    )
