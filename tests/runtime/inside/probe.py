"""A handler that wraps the one named in PROBED_HANDLER; on request it returns the imported modules and their files."""

import importlib
import os
import sys
import sysconfig
from typing import Any

module, _, name = os.environ["PROBED_HANDLER"].rpartition(".")
probed = getattr(importlib.import_module(module), name)


def handler(event: Any, context: Any) -> Any:
    """Hand over to the function, or answer `"modules"` with the file and the bytecode of each module."""
    if event != "modules":
        return probed(event, context)
    modules = {
        name: {"file": module.__file__, "bytecode": getattr(module, "__cached__", None)}
        for name, module in sys.modules.items()
        if getattr(module, "__file__", None) and name not in {"__main__", __name__}
    }
    return {"modules": modules, "standard_library": sysconfig.get_path("stdlib")}
