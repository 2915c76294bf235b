"""Nodes of Python's syntax tree that know where they stand: all in one place, since nobody reads what is compiled.

`compile` asks every node for its line and column. These have them from their class, so that nothing has to walk a
finished tree to fill them in, which took longer than compiling it.
"""

from __future__ import annotations

import ast


class _Placed:
    lineno: int = 1
    col_offset: int = 0
    end_lineno: int | None = 1
    end_col_offset: int | None = 0


class Assign(_Placed, ast.Assign):
    """An assignment."""


class Attribute(_Placed, ast.Attribute):
    """`value.attr`."""


class BinOp(_Placed, ast.BinOp):
    """An operation on two values."""


class BoolOp(_Placed, ast.BoolOp):
    """Values joined by `and`, or by `or`."""


class Call(_Placed, ast.Call):
    """A call."""


class Compare(_Placed, ast.Compare):
    """One comparison, or a chain of them."""


class Constant(_Placed, ast.Constant):
    """A constant."""


class ExceptHandler(_Placed, ast.ExceptHandler):
    """What is done about exceptions."""


class Expr(_Placed, ast.Expr):
    """An expression whose value nobody wants."""


class FunctionDef(_Placed, ast.FunctionDef):
    """A function."""


class If(_Placed, ast.If):
    """A branch."""


class IfExp(_Placed, ast.IfExp):
    """`body if test else orelse`."""


class List(_Placed, ast.List):
    """A list."""


class Name(_Placed, ast.Name):
    """A variable."""


class NamedExpr(_Placed, ast.NamedExpr):
    """`target := value`."""


class Return(_Placed, ast.Return):
    """The end of a function."""


class Subscript(_Placed, ast.Subscript):
    """`value[slice]`."""


class Try(_Placed, ast.Try):
    """Statements, and what is done about exceptions in them."""


class Tuple(_Placed, ast.Tuple):
    """A tuple."""


class UnaryOp(_Placed, ast.UnaryOp):
    """An operation on one value."""


class Argument(_Placed, ast.arg):
    """A parameter of a function."""
