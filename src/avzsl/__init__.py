"""avzsl: audio-visual generalised zero-shot learning.

    import avzsl
    run = avzsl.fit("stft", "data/World", preset="demo", out="runs/world")
    print(run.result.hm)

`load`, `fit`, `open_run` and `use` come from `avzsl.api` and are imported when they are first used. What a method of
your own is made of stands in `avzsl.methods` and `avzsl.types`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from avzsl.api import fit as fit
    from avzsl.api import load as load
    from avzsl.api import open_run as open_run
    from avzsl.api import use as use

__version__ = "0.1.0"
__all__ = ["__version__", "fit", "load", "open_run", "use"]


def __getattr__(name: str) -> Any:
    if name in ("fit", "load", "open_run", "use"):
        from avzsl import api

        return getattr(api, name)
    raise AttributeError(f"module 'avzsl' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
