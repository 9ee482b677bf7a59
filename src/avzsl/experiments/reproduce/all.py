"""Every item, filed. The order here is that of the paper, and of `all`."""

from avzsl.experiments.reproduce import architecture, bias, costs, names, rank, retrieval, space, sweeps, tables
from avzsl.experiments.reproduce.items import ITEMS

# imported for their registrations
assert tables and sweeps and costs and space and retrieval and architecture and rank and bias and names

_ORDER = (
    "table2", "table3", "table4", "table5", "table6", "table7", "table9", "table10", "table11", "fig3", "fig4", "fig5",
    "architecture", "rank", "bias", "names", "fig3a", "fig3b", "fig3c",
)  # fmt: skip


def item_names() -> tuple[str, ...]:
    """All items there are, in the order of the paper."""
    known = ITEMS.names()
    return (*(name for name in _ORDER if name in known), *(name for name in known if name not in _ORDER))
