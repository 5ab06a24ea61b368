"""A callable of the user's, named by its module or its file."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import inspect
import sys
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from limbeck.errors import LimbeckError, nearest
from limbeck.sources.hub import brief


class Factory:
    """Finds and calls what ``package.module:name`` or ``path.py:name`` points at.

    Warning:
        Naming a factory runs its code: its module on import and the factory itself. Name only code that you trust.

    The working directory, and the folder of a ``path.py``, are appended to ``sys.path``, behind everything installed,
    so that the factory finds its neighbours now and in the worker processes of a loader.

    Args:
        name: the module's dotted name or the file's path, a colon, and the callable's name.
        error: the class of the errors raised.

    Raises:
        LimbeckError: of class ``error``: no such file, module or name in it, or the import itself failed.

    Example:
        >>> from limbeck.errors import ModelError
        >>> Factory("collections:Counter", error=ModelError)(limes=2)
        Counter({'limes': 2})
    """

    def __init__(self, name: str, *, error: type[LimbeckError]) -> None:
        self.name = name
        self.error = error
        where, _, attribute = name.rpartition(":")
        # One plain name: a dotted one would reach through the module into everything that it imports (os.system).
        if not where or not attribute.isidentifier():
            raise error(f"A factory is named package.module:name or path.py:name. Found '{name}'.")
        module = self._from_file(Path(where)) if where.endswith(".py") else self._from_module(where)
        self.function = self._find(module, attribute)

    @property
    def parameters(self) -> Mapping[str, inspect.Parameter]:
        """What the callable takes; empty if Python cannot tell."""
        try:
            return inspect.signature(self.function).parameters
        except (TypeError, ValueError):
            return {}

    def __call__(self, **options: Any) -> Any:
        """Call it with ``options``.

        Raises:
            LimbeckError: of class ``error``, with the file and line in which the call failed.
        """
        try:
            inspect.signature(self.function).bind(**options)
        except TypeError as error:
            raise self.error(
                f"{self.name} is called with {sorted(options) or 'no arguments'}. It takes "
                f"{inspect.signature(self.function)} ({brief(error)}). Give its arguments as options, or defaults."
            ) from error
        except ValueError:
            pass  # a builtin without a signature: the call itself will tell
        try:
            return self.function(**options)
        except LimbeckError:
            raise
        except (Exception, SystemExit) as error:
            raise self.error(f"{self.name} failed: {brief(error)}{_place(error)}. Correct the factory.") from error

    def _from_file(self, path: Path) -> ModuleType:
        path = path.expanduser()
        if not path.is_file():
            raise self.error(f"{self.name} needs the file {path}. There is none. Check the path.")
        path = path.resolve()
        # One module per content of a file: an edited file is read anew, and objects of the old one stay usable.
        stamp = hashlib.sha256(f"{path}:{path.stat().st_mtime_ns}".encode()).hexdigest()[:12]
        name = f"limbeck_factory_{stamp}_{path.stem}"
        if name in sys.modules:
            return sys.modules[name]
        spec = importlib.util.spec_from_file_location(name, path)
        if spec is None or spec.loader is None:
            raise self.error(f"{self.name} needs a Python file. {path} cannot be imported. Check the path.")
        _make_importable(path.parent)
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        try:
            spec.loader.exec_module(module)
        except BaseException as error:
            del sys.modules[name]
            if isinstance(error, KeyboardInterrupt):
                raise
            raise self._import_failed(error) from error
        return module

    def _from_module(self, name: str) -> ModuleType:
        _make_importable(Path.cwd())
        try:
            return importlib.import_module(name)
        except ModuleNotFoundError as error:
            if error.name is None or not f"{name}.".startswith(f"{error.name}."):
                raise self._import_failed(error) from error
            raise self.error(
                f"{self.name} needs the module '{name}'. There is no '{error.name}' that Python can import from here "
                f"({Path.cwd()}). Install it, or name the file: path.py:name."
            ) from error
        except (Exception, SystemExit) as error:
            raise self._import_failed(error) from error

    def _find(self, module: ModuleType, attribute: str) -> Callable[..., Any]:
        try:
            found = getattr(module, attribute)
        except AttributeError as error:
            own = [name for name, value in vars(module).items() if callable(value) and not name.startswith("_")]
            known = nearest(attribute, own) if own else "It defines no callable."
            raise self.error(f"{self.name} needs the name '{attribute}'. The module has none. {known}") from error
        if not callable(found):
            raise self.error(
                f"{self.name} must be callable. Found a {type(found).__name__}. Write def {attribute}(): return ..."
            )
        return found

    def _import_failed(self, error: BaseException) -> LimbeckError:
        return self.error(f"{self.name} could not be imported: {brief(error)}{_place(error)}. Correct the module.")


def _place(error: BaseException) -> str:
    if isinstance(error, SyntaxError):
        return f" ({Path(error.filename or '?').name}, line {error.lineno})"
    frames = traceback.extract_tb(error.__traceback__)
    inside = [frame for frame in frames if Path(frame.filename) != Path(__file__) and "importlib" not in frame.filename]
    return f" ({Path(inside[-1].filename).name}, line {inside[-1].lineno})" if inside else ""


def _make_importable(folder: Path) -> None:
    if str(folder) not in sys.path:
        sys.path.append(str(folder))
