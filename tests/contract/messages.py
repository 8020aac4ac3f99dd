"""The plugin's messages, read out of its source: what the tests of the troubleshooting page compare with.

A message is a text that becomes a line for the operator, or a part of one. What counts is decided by where it stands:

- the text of an error of `ecs_exec.errors`, and of `ConnectionCut`, wherever one is made;
- what is handed to one of `MAKERS`: `say`, `fault`, `Cause` and so on;
- `ValueError` in `PARSERS`, whose text becomes a setting's fault;
- the texts of `TABLES`, and what the functions of `FUNCTIONS` return.

A text may be a literal, a variable of the same function, a constant of the same module or what a function of the same
module returns. A field of an f-string is written `…`, unless it is a constant. Of functions that a field calls, the
texts are messages, too. A text without words of its own only hands something on, and is none.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import NamedTuple

from ecs_exec import errors

PACKAGE = Path(errors.__file__).parent

ERRORS = {
    name
    for name, thing in vars(errors).items()
    if isinstance(thing, type) and issubclass(thing, errors.EcsExecError) and thing is not errors.EcsExecError
} | {"ConnectionCut"}

MAKERS = {
    "Check": (2,),
    "Unseen": (1,),
    "_guarded": (1, 2),
    "_note": (0,),
    "_refuse": (0,),
    "_translated": (0,),
    "failed": (0,),
    "fault": (0,),
    "line": (0,),
    "say": (0,),
    "unseen": (2,),
    "write": (0,),
}
"""Functions and methods, and which arguments are texts. What a check finds to be right is no message."""

FORMS = {"matching": (1,)}
"""As MAKERS, for texts that are told behind the word `expected`."""

PARSERS = ("settings/", "mapping.py", "selectors.py", "shell.py")

TABLES = (
    "aws._BUSY",
    "aws._FAILURES",
    "aws._HINTS",
    "aws._NOT_AWS",
    "copier.Copying.not_done",
    "dialogue.Marked.doubt",
    "dialogue.Marked.not_done",
    "dialogue._REFUSALS",
    "main._NOT_BEGUN",
    "main._UNKNOWN",
    "script_step.Scripting.not_done",
    "transport.dial._HINT_BUNDLE",
    "transport.dial._HINT_NAME",
    "transport.dial._HINT_NETWORK",
    "transport.dial._HINT_PROXY",
    "transport.dial._HINT_TLS",
    "transport.refusals._CODES",
    "transport.websocket._HINT_OTHER",
    "transport.websocket._HINT_SILENT",
    "transport.websocket._HINT_STATUS",
    "upload._FAILURES",
    "upload._HINTS",
)
"""Constants that hold parts of messages: a text, the values of a dict, or the second entries of rows."""

FUNCTIONS = (
    "answers._told",
    "aws._denial",
    "copier.Copying._objection",
    "main._internal",
    "survey._unexplained",
    "transport.session_manager_plugin.SessionManagerPluginTransport._why",
    "upload.Uploading.doubt",
)
"""What return parts of messages to other modules, or by a way that cannot be seen."""

OTHER_TEXTS = (
    "receiver.py",
    "settings/properties.py",
    "settings/step_properties.py",
    "shell.py",
)
"""Modules of forms' texts, of scripts for the container, and of a step's output."""

_WORDS_OF_SENTENCE = 8

FIELD = "…"
_WORDS = 1
_WORDS_OF_PART = 3
"""Words of its own that make a text a message; a part of one that is found by following it needs more, as names are put
together in the same way."""

_HAND_ON = {"debug"}
"""Functions in which nothing is a message: details are not, though they are said."""


class Message(NamedTuple):
    """A template, and where it stands."""

    text: str
    place: str
    """File and line."""


@dataclass
class Module:
    """One file of the package."""

    name: str
    """Its path in the package."""
    tree: ast.Module
    constants: dict[str, ast.expr] = field(default_factory=dict)
    functions: dict[str, list[ast.FunctionDef]] = field(default_factory=dict)
    """By their plain name, and by class and name."""

    @classmethod
    def read(cls, path: Path, package: Path = PACKAGE) -> Module:
        """Parse a file."""
        module = cls(path.relative_to(package).as_posix(), ast.parse(path.read_text(encoding="utf-8")))
        module._enter(module.tree.body, "")
        return module

    def _enter(self, body: list[ast.stmt], prefix: str) -> None:
        for statement in body:
            for name, value in _assigned(statement):
                self.constants[prefix + name] = value
            if isinstance(statement, ast.ClassDef):
                self._enter(statement.body, f"{statement.name}.")
            elif isinstance(statement, ast.FunctionDef):
                for name in {statement.name, prefix + statement.name}:
                    self.functions.setdefault(name, []).append(statement)


def _assigned(statement: ast.AST) -> Iterator[tuple[str, ast.expr]]:
    """Yield names and what they are set to."""
    if isinstance(statement, ast.Assign):
        yield from ((target.id, statement.value) for target in statement.targets if isinstance(target, ast.Name))
    elif isinstance(statement, ast.AnnAssign) and statement.value and isinstance(statement.target, ast.Name):
        yield statement.target.id, statement.value
    elif isinstance(statement, ast.For) and isinstance(statement.target, ast.Name):
        yield statement.target.id, statement.iter


def collect() -> list[Message]:
    """Return every message of the package, each template once for a place."""
    scripts = (message for path in sorted(PACKAGE.parent.glob("*.py")) for message in read(path, PACKAGE.parent))
    paths = [path for path in sorted(PACKAGE.rglob("*.py")) if path.parent.name != "causes"]
    return [*scripts, *(message for path in paths for message in read(path))]


def read(path: Path, package: Path = PACKAGE) -> list[Message]:
    """Return the messages of one file."""
    return list(dict.fromkeys(Reading(Module.read(path, package)).messages()))


class Reading:
    """Finds the messages of one module."""

    def __init__(self, module: Module) -> None:
        """Take the module."""
        self._module = module
        self._followed: set[tuple[str, ast.AST]] = set()
        self._parts: list[Message] = []
        self._open: list[str] = []
        """Variables that are being looked at."""

    def messages(self) -> Iterator[Message]:
        """Yield them."""
        for scope, call in _calls(self._module.tree, None):
            if scope is not None and scope.name in _HAND_ON:
                continue
            prefix = "expected " if _called(call) in FORMS else ""
            for text in self._texts_of(call):
                yield from self._worded(text, scope, prefix)
        dotted = self._module.name.removesuffix(".py").replace("/", ".")
        for name in TABLES:
            if (local := _local(name, dotted)) and local in self._module.constants:
                for text in _entries(self._module.constants[local]):
                    yield from self._worded(text, None)
        for name in FUNCTIONS:
            for function in self._module.functions.get(_local(name, dotted), ()):
                yield from self._returned(function)
        yield from self._parts

    def _texts_of(self, call: ast.Call) -> list[ast.expr]:
        """Return the arguments that are texts of messages."""
        name = _called(call)
        if name in ERRORS or (name == "ValueError" and self._module.name.startswith(PARSERS)):
            return call.args[:1]
        if name == "Check" and _is_text(call.args[0], "ok"):
            return []
        return [call.args[at] for at in (MAKERS | FORMS).get(name, ()) if at < len(call.args)]

    def _worded(
        self, text: ast.expr, scope: ast.FunctionDef | None, prefix: str = "", least: int = _WORDS
    ) -> Iterator[Message]:
        for template in self._templates(text, scope):
            line = re.sub(f"{FIELD}+", FIELD, prefix + template).removeprefix("ecs-exec: ").strip(" ;,:\n")
            if line == f"expected {FIELD}":  # what makes the parsers of FORMS
                continue
            if len(re.findall(r"\S*[A-Za-z]\S*", line.replace(FIELD, " "))) >= least:
                yield Message(line, f"{self._module.name}:{text.lineno}")

    def _returned(self, function: ast.FunctionDef) -> Iterator[Message]:
        for value in _results(function):
            yield from self._worded(value, function, least=_WORDS_OF_PART)

    # --- Texts

    def _templates(self, text: ast.expr, scope: ast.FunctionDef | None) -> list[str]:
        """Return what an expression may be, fields as `…`."""
        if isinstance(text, ast.Constant):
            return [text.value] if isinstance(text.value, str) else []
        if isinstance(text, ast.JoinedStr):
            return self._joined(text, scope)
        if isinstance(text, ast.BinOp) and isinstance(text.op, ast.Add):
            return [a + b for a in self._templates(text.left, scope) for b in self._templates(text.right, scope)]
        if isinstance(text, ast.Name):
            return self._named(text, scope)
        if isinstance(text, ast.Call):
            return self._of_call(text, scope)
        parts = _alternatives(text)
        return [each for part in parts for each in self._templates(part, scope)] if parts else [FIELD]

    def _joined(self, text: ast.JoinedStr, scope: ast.FunctionDef | None) -> list[str]:
        template = ""
        for part in text.values:
            if isinstance(part, ast.FormattedValue):
                template += self._of_field(part.value, scope)
            elif isinstance(part, ast.Constant):
                template += str(part.value)
        return [template]

    def _of_field(self, value: ast.expr, scope: ast.FunctionDef | None) -> str:
        if isinstance(value, ast.Name) and value.id in self._module.constants:
            constant = self._module.constants[value.id]
            if isinstance(constant, ast.Constant) and isinstance(constant.value, str):
                return constant.value
        values = [value]
        if isinstance(value, ast.Name) and scope is not None:
            values = _settings_of(value.id, scope)
            for each in values:
                self._parts.extend(self._worded(each, scope, least=_WORDS_OF_PART))
        for call in (node for each in values for node in ast.walk(each) if isinstance(node, ast.Call)):
            self._follow(call)
        return FIELD

    def _follow(self, call: ast.Call) -> None:
        """Take what functions of the module put into a message."""
        for function in self._module.functions.get(_called(call), ()):
            if ("part", function) not in self._followed:
                self._followed.add(("part", function))
                self._parts.extend(self._returned(function))

    def _named(self, name: ast.Name, scope: ast.FunctionDef | None) -> list[str]:
        values = _settings_of(name.id, scope) if scope is not None else []
        if not values and name.id in self._module.constants:
            values = [self._module.constants[name.id]]
        if name.id in self._open:  # set to something that is made of itself
            return [FIELD]
        self._open.append(name.id)
        found = [each for value in values for each in self._templates(value, scope)]
        self._open.pop()
        return found or [FIELD]

    def _of_call(self, call: ast.Call, scope: ast.FunctionDef | None) -> list[str]:
        if isinstance(call.func, ast.Attribute) and call.func.attr in {"strip", "rstrip", "lstrip"}:
            return self._templates(call.func.value, scope)
        found = []
        for function in self._module.functions.get(_called(call), ()):
            if ("whole", function) not in self._followed:
                self._followed.add(("whole", function))
                found += [each for value in _results(function) for each in self._templates(value, function)]
        return found or [FIELD]


def _alternatives(text: ast.expr) -> list[ast.expr]:
    """Return the expressions of which a text is one."""
    if isinstance(text, ast.IfExp):
        return [text.body, text.orelse]
    if isinstance(text, ast.BoolOp):
        return text.values
    if isinstance(text, ast.ListComp):
        return [text.elt]
    return text.elts if isinstance(text, ast.List | ast.Tuple) else []


def _called(call: ast.Call) -> str:
    """Return the last part of the name of what is called."""
    name = call.func
    return name.id if isinstance(name, ast.Name) else name.attr if isinstance(name, ast.Attribute) else ""


def _local(name: str, module: str) -> str:
    return name.removeprefix(f"{module}.") if name.startswith(f"{module}.") else ""


def _is_text(value: ast.expr, text: str) -> bool:
    return isinstance(value, ast.Constant) and value.value == text


def _calls(node: ast.AST, scope: ast.FunctionDef | None) -> Iterator[tuple[ast.FunctionDef | None, ast.Call]]:
    """Yield every call, and the function that it stands in."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Call):
            yield scope, child
        yield from _calls(child, child if isinstance(child, ast.FunctionDef) else scope)


def _own(function: ast.AST) -> Iterator[ast.AST]:
    """Yield what a function holds, without the functions in it."""
    for child in ast.iter_child_nodes(function):
        if not isinstance(child, ast.FunctionDef):
            yield child
            yield from _own(child)


@cache
def _results(function: ast.FunctionDef) -> list[ast.expr]:
    """Return what a function returns or yields."""
    return [node.value for node in _own(function) if isinstance(node, ast.Return | ast.Yield) and node.value]


def _settings_of(name: str, function: ast.FunctionDef) -> list[ast.expr]:
    """Return what a function sets a variable to."""
    return [value for node in _own(function) for target, value in _assigned(node) if target == name]


def _entries(table: ast.expr) -> Iterator[ast.expr]:
    """Yield the texts of a table."""
    if isinstance(table, ast.Dict):
        yield from table.values
    elif isinstance(table, ast.Tuple | ast.List):
        yield from (row.elts[1] for row in table.elts if isinstance(row, ast.Tuple))
    else:
        yield table
