"""Check the docstring of everything public against numpydoc's rules.

Public is what a user can reach by names without a leading underscore: what the modules export, and
the methods and properties of those classes that graphembed defines. (ruff looks at the modules.)
The rules not asked for stand in pyproject.toml, [tool.numpydoc_validation].
"""

import importlib
import inspect
import pkgutil
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

from numpydoc.docscrape import ClassDoc
from numpydoc.validate import ERROR_MSGS, Validator, validate

import graphembed

ROOT = Path(__file__).parent.parent


def public_modules() -> Iterator[ModuleType]:
    """Import graphembed and its public modules, one after the other."""
    yield graphembed
    for info in pkgutil.walk_packages(graphembed.__path__, "graphembed."):
        if not any(part.startswith("_") for part in info.name.split(".")):
            yield importlib.import_module(info.name)


def public_names(module: ModuleType) -> Iterator[str]:
    """Full names of the classes and functions of a module and of the members of its classes."""
    own = [
        name
        for name, value in vars(module).items()
        if not name.startswith("_") and getattr(value, "__module__", None) == module.__name__
    ]
    for name in getattr(module, "__all__", own):
        value = getattr(module, name)
        if inspect.isclass(value) or inspect.isroutine(value):
            full_name = f"{value.__module__}.{value.__qualname__}"
            yield full_name
            if inspect.isclass(value):
                yield from (f"{full_name}.{member}" for member in own_members(value))


def own_members(cls: type) -> Iterator[str]:
    """Names of the public methods and properties of a class that graphembed defines."""
    for name in dir(cls):
        value = inspect.getattr_static(cls, name)
        function = getattr(value, "fget", None) or getattr(value, "__func__", value)
        module = getattr(function, "__module__", None) or ""
        if not name.startswith("_") and callable(function) and module.startswith("graphembed"):
            yield name


def find_faults(name: str, ignored: frozenset[str]) -> Iterator[str]:
    """One line for every rule that the docstring of `name` breaks."""
    report = validate(name)
    excused = set(ignored)
    if report["type"] == "property":
        excused.add("RT01")  # it is described by what it is
    if report["type"] == "type" and documents_fields(Validator._load_obj(name)):
        excused.add("PR01")
    for code, message in report["errors"]:
        if code not in excused:
            yield f"{report['file']}:{report['file_line']}: {name}: {code} {message}"


def documents_fields(cls: type) -> bool:
    """Tell whether every parameter of a dataclass is described as an attribute."""
    entries = ClassDoc(cls)["Attributes"]
    described = {name for entry in entries for name in entry.name.split(", ")}
    fields = getattr(cls, "__dataclass_fields__", {})
    return bool(fields) and described >= {name for name, field in fields.items() if field.init}


def main() -> int:
    """Print the faults; 1 if there are any."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    checks = settings["tool"]["numpydoc_validation"]["checks"]
    ignored = frozenset(checks) & ERROR_MSGS.keys()
    names = {name for module in public_modules() for name in public_names(module)}
    faults = [fault for name in sorted(names) for fault in find_faults(name, ignored)]
    print("\n".join([*faults, f"{len(names)} public docstrings, {len(faults)} faults"]))
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
