"""Find plug-ins by their file names and load one when it is asked for.

A missing dependency fails loudly when that plug-in is selected, and only then.
"""

from importlib import import_module
from pkgutil import iter_modules
from types import ModuleType


def plugin_names(package: ModuleType) -> tuple[str, ...]:
    """List the modules of a plug-in package, sorted, without importing any."""
    return tuple(sorted(module.name for module in iter_modules(package.__path__)))


def load_plugin(package: ModuleType, name: str) -> ModuleType:
    """Import one plug-in.

    Raises:
        LookupError: there is no such file.
        ImportError: the file or something it needs cannot be imported.
    """
    names = plugin_names(package)
    if name not in names:
        raise LookupError(f"there is no {package.__name__}.{name}; there is: {', '.join(names)}")
    return import_module(f"{package.__name__}.{name}")
