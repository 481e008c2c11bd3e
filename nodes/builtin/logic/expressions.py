"""Arithmetic in the syntax of Python, evaluated without Python: numbers in, a number out.

A formula can name nothing but the values that it is given and a few functions, and no step of it
can take long: integers stay below 2**1023, and there are no loops.
"""

import ast
import math
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final, NoReturn, TypeAlias

from nodegraph.errors import nearest
from nodes.builtin.logic.errors import BadFormulaError

LONGEST: Final = 4000
"""Characters that a formula may have."""
_MOST_BITS = 1023
"""Of an integer: it still converts to a float."""
_MOST_DIGITS = 300
"""Places that `round` rounds to, on either side of the point."""

Number: TypeAlias = int | float
Value: TypeAlias = Number | list[Number]
_Binary: TypeAlias = Callable[[Any, Any], Any]


def evaluate(formula: str, names: Mapping[str, Value]) -> Number:
    """Return the value of a formula: an int, a float or a bool, always finite.

    It may have + - * / // % ** & | ^ ~ << >>, comparisons, `and`, `or`, `not`, `a if b else c`,
    lists and `list[index]`, and the functions of `FUNCTIONS`.

    Args:
        formula: such as `ceil(a / 8) * 8`.
        names: the values that it may name.

    Raises:
        BadFormulaError: it is not valid, names something else, or has no finite value.
    """
    if not formula.strip():
        raise BadFormulaError(formula, "is empty", "For example: a + b")
    if len(formula) > LONGEST:
        raise BadFormulaError(formula, f"has more than {LONGEST:,} characters")
    try:
        found = _Evaluation(formula, names).value(_parse(formula))
    except RecursionError:
        raise BadFormulaError(formula, "nests too deep") from None
    except ZeroDivisionError as error:
        raise BadFormulaError(formula, "divides by zero") from error
    except (ValueError, OverflowError, TypeError) as error:
        raise BadFormulaError(formula, f"has no value: {error}") from error
    if isinstance(found, list):
        raise BadFormulaError(formula, "has a list as its result", "Take its sum, min or max.")
    if not math.isfinite(found):
        raise BadFormulaError(formula, f"has no finite value, but {found}")
    return found


def _parse(formula: str) -> ast.expr:
    try:
        return ast.parse(formula.strip(), mode="eval").body
    except (RecursionError, MemoryError):
        raise BadFormulaError(formula, "nests too deep") from None
    except (SyntaxError, ValueError) as error:
        problem = error.msg if isinstance(error, SyntaxError) else str(error)
        raise BadFormulaError(formula, f"is not valid: {problem}") from error


def _power(base: Number, exponent: Number) -> Number:
    if isinstance(base, int) and isinstance(exponent, int) and exponent > 0:
        _check_bits((base.bit_length() - 1) * exponent)  # at least so many
    found = base**exponent
    if isinstance(found, complex):
        message = "a root of a negative number is no real number"
        raise ValueError(message)  # noqa: TRY004 - of the value, not of its type
    return found


def _shift_left(value: int, by: int) -> int:
    _check_bits(value.bit_length() + max(by, 0))
    return value << by


def _round(value: Number, digits: int = 0) -> Number:
    if abs(digits) > _MOST_DIGITS:
        message = f"round takes at most {_MOST_DIGITS} digits"
        raise ValueError(message)
    return round(value, digits) if digits else round(value)


def _total(*values: Number) -> Number:
    return sum(values)


def _magnitude(value: Number) -> Number:
    return abs(value)


def _integer(value: Number) -> int:
    return int(value)


def _decimal(value: Number) -> float:
    return float(value)


def _check_bits(bits: int) -> None:
    if bits > _MOST_BITS:
        message = "the number is too large"
        raise OverflowError(message)


_BINARY: Mapping[type[ast.operator], _Binary] = MappingProxyType(
    {
        ast.Add: lambda a, b: a + b,
        ast.Sub: lambda a, b: a - b,
        ast.Mult: lambda a, b: a * b,
        ast.Div: lambda a, b: a / b,
        ast.FloorDiv: lambda a, b: a // b,
        ast.Mod: lambda a, b: a % b,
        ast.Pow: _power,
        ast.BitAnd: lambda a, b: a & b,
        ast.BitOr: lambda a, b: a | b,
        ast.BitXor: lambda a, b: a ^ b,
        ast.LShift: _shift_left,
        ast.RShift: lambda a, b: a >> b,
    }
)
_UNARY: Mapping[type[ast.unaryop], Callable[[Any], Any]] = MappingProxyType(
    {
        ast.UAdd: lambda a: +a,
        ast.USub: lambda a: -a,
        ast.Invert: lambda a: ~a,
        ast.Not: lambda a: not a,
    }
)
_COMPARISONS: Mapping[type[ast.cmpop], _Binary] = MappingProxyType(
    {
        ast.Eq: lambda a, b: a == b,
        ast.NotEq: lambda a, b: a != b,
        ast.Lt: lambda a, b: a < b,
        ast.LtE: lambda a, b: a <= b,
        ast.Gt: lambda a, b: a > b,
        ast.GtE: lambda a, b: a >= b,
    }
)
FUNCTIONS: Mapping[str, Callable[..., Number]] = MappingProxyType(
    {
        "sum": _total,
        "min": min,
        "max": max,
        "abs": _magnitude,
        "round": _round,
        "pow": _power,
        "sqrt": math.sqrt,
        "ceil": math.ceil,
        "floor": math.floor,
        "log": math.log,
        "log2": math.log2,
        "log10": math.log10,
        "sin": math.sin,
        "cos": math.cos,
        "tan": math.tan,
        "int": _integer,
        "float": _decimal,
    }
)
"""The functions of a formula; sum, min and max take numbers, or one list."""
_OF_LISTS = ("sum", "min", "max")


class _Evaluation:
    """One evaluation of a formula."""

    def __init__(self, formula: str, names: Mapping[str, Value]) -> None:
        self._formula = formula
        self._names = names

    def value(self, part: ast.expr) -> Value:
        """Return the value of a part of the formula."""
        match part:
            case ast.BinOp() | ast.UnaryOp() | ast.Compare() | ast.Call():
                return self._compute(part)
            case ast.BoolOp() | ast.IfExp():
                return self._choose(part)
            case _:
                return self._read(part)

    def _read(self, part: ast.expr) -> Value:
        match part:
            case ast.List(items) | ast.Tuple(items):
                return [self._number(item) for item in items]
            case ast.Constant(bool() | int() | float() as value):
                return self._within_bounds(value)
            case ast.Name(name):
                return self._look_up(name)
            case ast.Subscript(value=whole, slice=index):
                return self._item(whole, index)
            case _:
                return self._refuse(part)

    def _compute(self, part: ast.BinOp | ast.UnaryOp | ast.Compare | ast.Call) -> Number:
        match part:
            case ast.BinOp(left, kind, right):
                compute = _BINARY.get(type(kind)) or self._refuse(part)
                return self._within_bounds(compute(self._number(left), self._number(right)))
            case ast.UnaryOp(kind, operand):
                return self._within_bounds(_UNARY[type(kind)](self._number(operand)))
            case ast.Compare():
                return self._compare(part)
            case ast.Call():
                return self._within_bounds(self._call(part))

    def _choose(self, part: ast.BoolOp | ast.IfExp) -> Value:
        if isinstance(part, ast.IfExp):
            return self.value(part.body if self._number(part.test) else part.orelse)
        found: Number = 0
        for item in part.values:
            found = self._number(item)
            if bool(found) == isinstance(part.op, ast.Or):
                break
        return found

    def _compare(self, part: ast.Compare) -> bool:
        left = self._number(part.left)
        for kind, item in zip(part.ops, part.comparators, strict=True):
            compare = _COMPARISONS.get(type(kind)) or self._refuse(part)
            right = self._number(item)
            if not compare(left, right):
                return False
            left = right
        return True

    def _call(self, part: ast.Call) -> Number:
        if not isinstance(part.func, ast.Name) or part.keywords:
            self._refuse(part)
        name = part.func.id
        function = FUNCTIONS.get(name)
        if function is None:
            known = ", ".join(FUNCTIONS)
            hint = nearest(name, FUNCTIONS) or f"The functions are {known}."
            raise BadFormulaError(self._formula, f"calls {name!r}, which is not known", hint)
        given = [self.value(argument) for argument in part.args]
        if name in _OF_LISTS and len(given) == 1 and isinstance(given[0], list):
            return function(*given[0]) if len(given[0]) > 1 or name == "sum" else given[0][0]
        if name in _OF_LISTS and len(given) == 1:
            return self._check(given[0])
        return function(*(self._check(each) for each in given))

    def _look_up(self, name: str) -> Value:
        if name in self._names:
            found = self._names[name]
            return found if isinstance(found, list) else self._within_bounds(found)
        hint = f"It has the values {', '.join(self._names)}."
        raise BadFormulaError(self._formula, f"names {name!r}, which is not given", hint)

    def _item(self, whole: ast.expr, index: ast.expr) -> Number:
        found, place = self.value(whole), self._number(index)
        if not isinstance(found, list) or not isinstance(place, int):
            self._refuse(whole)
        if not -len(found) <= place < len(found):
            raise BadFormulaError(self._formula, f"takes item {place} of {len(found)}")
        return found[place]

    def _number(self, part: ast.expr) -> Number:
        return self._check(self.value(part))

    def _check(self, found: Value) -> Number:
        if isinstance(found, list):
            raise BadFormulaError(self._formula, "calculates with a list", "Take its sum.")
        return found

    def _within_bounds(self, found: Number) -> Number:
        if isinstance(found, int):
            _check_bits(found.bit_length())
        return found

    def _refuse(self, part: ast.expr) -> NoReturn:
        text = ast.get_source_segment(self._formula.strip(), part) or self._formula
        hint = f"Numbers, operators, the values and these functions work: {', '.join(FUNCTIONS)}."
        raise BadFormulaError(self._formula, f"has {text!r}, which is no arithmetic", hint)
