"""What a class takes and inherits, read from its source without importing it: a config is checked without torch."""

import ast
import importlib.util
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

from src.contracts.settings._problems import did_you_mean

__all__ = ["ClassSource", "read_class"]

_ENDS = frozenset({"torch.nn.Module", "torch.nn.modules.module.Module", "builtins.object", "abc.ABC"})
"""Bases that take no arguments of a config."""

_Definition = ast.ClassDef | ast.FunctionDef


class ClassSource(NamedTuple):
    """What the source of a class, or of a function, says.

    Attributes:
        names: its name, then those of its bases, as far as their sources can be found.
        declared: what the classes assign in their bodies, by name; None for what is not a string.
        arguments: the annotations of the arguments that it takes (empty without one), by name; None where the source
            does not tell.
    """

    names: list[str]
    declared: dict[str, str | None]
    arguments: dict[str, str] | None


class _Found(NamedTuple):
    module: str
    node: _Definition


@cache
def read_class(path: str) -> ClassSource | None:
    """Read the source of what `_target_` names.

    Args:
        path: dotted: module and name.

    Returns:
        None where there is no Python source, or where it does not define the name in a way that can be followed.

    Raises:
        ImportError: there is no such module, or nothing of that name in it.
    """
    module, _, name = path.rpartition(".")
    found = _find(module, name)
    if found is None:
        _check_name(module, name)
        return None
    if isinstance(found.node, ast.FunctionDef):
        arguments, more = _parameters(found.node)
        return ClassSource([found.node.name], {}, None if more else arguments)
    line = _resolution_order(found)
    declared: dict[str, str | None] = {}
    for _, one in line:
        for key, value in _attributes(one.node) if one else ():
            declared.setdefault(key, value)
    return ClassSource([name for name, _ in line], declared, _arguments(line))


def _check_name(module: str, name: str) -> None:
    """Raise `ImportError` where a module's source shows that it has no such name."""
    tree = _tree(module)
    if tree is None or _bound(module, name):
        return
    names: set[str] = set()
    for statement in _statements(tree.body):
        if isinstance(statement, ast.Import | ast.ImportFrom):
            names |= {alias.asname or alias.name for alias in statement.names}
        names |= {node.id for node in ast.walk(statement) if isinstance(node, ast.Name)}
        if isinstance(statement, ast.ClassDef | ast.FunctionDef):
            names.add(statement.name)
    # Without these, all names of a module stand in its text.
    if not names & {"*", "__getattr__", "globals", "exec", "setattr", "sys", name}:
        raise ImportError(f"{module} has no {name}{did_you_mean(name, sorted(names))}".rstrip("."), name=name)


def _resolution_order(found: _Found) -> list[tuple[str, _Found | None]]:
    """A class and its bases in the order in which Python looks into them: one that several share comes after them."""
    line = dict.fromkeys(reversed(list(_line(found))))
    return list(reversed(line))


def _line(found: _Found) -> Iterator[tuple[str, _Found | None]]:
    """A class and its bases, depth first: the full name of each that has no source here, with None."""
    yield found.node.name, found
    assert isinstance(found.node, ast.ClassDef)
    for base in found.node.bases:
        path = _path_of(found.module, base)
        if path is None or path in _ENDS:
            yield path or ast.unparse(base), None
            continue
        try:
            above = _find(*path.rsplit(".", 1))
        except ImportError:
            above = None
        if above is None or isinstance(above.node, ast.FunctionDef):
            yield path, None
        else:
            yield from _line(above)


def _arguments(line: list[tuple[str, _Found | None]]) -> dict[str, str] | None:
    """The arguments of `__init__`, and as long as it passes `**kwargs` on, those of the bases."""
    arguments: dict[str, str] = {}
    for path, found in line:
        if found is None:
            if path not in _ENDS:
                return None
            continue
        assert isinstance(found.node, ast.ClassDef)
        functions = {item.name: item for item in found.node.body if isinstance(item, ast.FunctionDef)}
        if found.node.decorator_list or found.node.keywords or "__new__" in functions:
            return None
        if "__init__" in functions:
            own, more = _parameters(functions["__init__"])
            for name, annotation in list(own.items())[1:]:  # without self
                arguments.setdefault(name, annotation)
            if not more:
                break
            if not _only_passed_on(functions["__init__"]):
                return None
    return arguments


def _only_passed_on(function: ast.FunctionDef) -> bool:
    """Whether `**kwargs` goes to `super().__init__` and nowhere else."""
    name = function.args.kwarg.arg if function.args.kwarg else ""
    passed = {
        id(keyword.value)
        for node in ast.walk(function)
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "super().__init__"
        for keyword in node.keywords
        if keyword.arg is None
    }
    used = {id(node) for node in ast.walk(function) if isinstance(node, ast.Name) and node.id == name}
    return bool(used) and used <= passed


def _parameters(function: ast.FunctionDef) -> tuple[dict[str, str], bool]:
    """The annotations of a function's parameters, by name, and whether it takes any others."""
    given = function.args
    named = (*given.posonlyargs, *given.args, *given.kwonlyargs)
    return {one.arg: ast.unparse(one.annotation) if one.annotation else "" for one in named}, given.kwarg is not None


def _attributes(node: _Definition) -> Iterator[tuple[str, str | None]]:
    """What a class assigns in its body: strings as they are, everything else as None."""
    for statement in node.body:
        if isinstance(statement, ast.Assign | ast.AnnAssign):
            text = statement.value.value if isinstance(statement.value, ast.Constant) else None
            for target in statement.targets if isinstance(statement, ast.Assign) else [statement.target]:
                if isinstance(target, ast.Name):
                    yield target.id, text if isinstance(text, str) else None


def _path_of(module: str, base: ast.expr) -> str | None:
    """The dotted path that a base class has, as its module writes it: `Loss`, `nn.Module`."""
    if isinstance(base, ast.Subscript):  # Generic[T]
        return _path_of(module, base.value)
    names = ast.unparse(base).split(".")
    if not all(name.isidentifier() for name in names):
        return None
    if names == ["object"]:
        return "builtins.object"
    # A name that is bound nowhere comes from `import *`.
    return ".".join([_bound(module, names[0]) or f"{module}.{names[0]}", *names[1:]])


def _find(module: str, name: str, *, depth: int = 0) -> _Found | None:
    """Find a definition, through the imports of the modules that pass it on."""
    tree = _tree(module)
    if tree is None or depth > 10:
        return None
    for statement in _statements(tree.body):
        if isinstance(statement, ast.ClassDef | ast.FunctionDef) and statement.name == name:
            return _Found(module, statement)
    path = _bound(module, name)
    if path is not None and path != f"{module}.{name}":
        return _find(*path.rsplit(".", 1), depth=depth + 1) if "." in path else None
    for statement in _statements(tree.body):
        if isinstance(statement, ast.ImportFrom) and any(alias.name == "*" for alias in statement.names):
            found = _find(_source_of(module, statement), name, depth=depth + 1)
            if found:
                return found
    return None


def _bound(module: str, name: str) -> str | None:
    """The dotted path of what a module calls `name`."""
    tree = _tree(module)
    for statement in _statements(tree.body) if tree else ():
        if isinstance(statement, ast.ClassDef | ast.FunctionDef) and statement.name == name:
            return f"{module}.{name}"
        for alias in statement.names if isinstance(statement, ast.Import | ast.ImportFrom) else ():
            if isinstance(statement, ast.ImportFrom):
                if (alias.asname or alias.name) == name:
                    return f"{_source_of(module, statement)}.{alias.name}"
            elif alias.asname == name:
                return alias.name
            elif alias.asname is None and alias.name.split(".")[0] == name:
                return name
    return None


def _source_of(module: str, statement: ast.ImportFrom) -> str:
    """The module that `from ... import` names, also where it is relative."""
    if not statement.level:
        return statement.module or ""
    path = _file(module)
    package = module.split(".")
    up = statement.level - (1 if path is not None and path.name == "__init__.py" else 0)
    parts = package[: len(package) - up] if up else package
    return ".".join([*parts, *([statement.module] if statement.module else [])])


def _statements(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """The statements of a module, those below `if` and `try` included."""
    for statement in body:
        yield statement
        if isinstance(statement, ast.If | ast.Try):
            yield from _statements([*statement.body, *statement.orelse])


@cache
def _tree(module: str) -> ast.Module | None:
    """The parsed source of a module; None for one without.

    Raises:
        ImportError: there is no such module, or it is no Python.
    """
    path = _file(module)
    try:
        return ast.parse(path.read_bytes()) if path else None
    except SyntaxError as error:
        raise ImportError(f"{module} cannot be read, line {error.lineno}: {error.msg}", name=module) from error


@cache
def _file(module: str) -> Path | None:
    """The source file of a module; None for one without.

    Raises:
        ModuleNotFoundError: there is no such module.
    """
    top, *parts = module.split(".")
    spec = importlib.util.find_spec(top) if top else None
    if spec is None:
        raise ModuleNotFoundError(f"No module named {top!r}", name=top)
    folders = [Path(folder) for folder in spec.submodule_search_locations or ()]
    file = Path(spec.origin) if spec.origin and spec.origin.endswith(".py") else None
    for number, part in enumerate(parts, start=2):
        inside = [
            path for folder in folders for path in sorted(folder.glob(f"{part}*")) if path.stem.split(".")[0] == part
        ]
        if not inside:
            name = ".".join(module.split(".")[:number])
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        folders = [path for path in inside if path.is_dir()]
        files = [folder / "__init__.py" for folder in folders] + [path for path in inside if path.name == f"{part}.py"]
        file = next((path for path in files if path.is_file()), None)
    return file
