"""Settings may ask for more layers than any machine can build; a limit on them, for settings of others."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch.nn.modules.module import (
    register_module_module_registration_hook,
    register_module_parameter_registration_hook,
)

from avzsl.errors import SettingError


@contextmanager
def at_most(parts: int) -> Iterator[None]:
    """Count the layers and weights that any module takes in inside the block; sizes do not matter, numbers do.

    Args:
        parts: that are allowed.

    Raises:
        SettingError: there are more.
    """
    found = 0

    def count(*_: Any) -> None:
        nonlocal found
        found += 1
        if found > parts:
            raise SettingError(f"the settings ask for more than {parts} layers and weights; ask for fewer layers")

    hooks = [register_module_module_registration_hook(count), register_module_parameter_registration_hook(count)]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
