"""The roles by which an element of a page may be named (WAI-ARIA 1.2, as the browser's driver knows them)."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator

from probes.config.mistakes import did_you_mean
from probes.config.units import shown

_WORDS = (
    "alert alertdialog application article banner blockquote button caption cell checkbox code columnheader combobox "
    "complementary contentinfo definition deletion dialog directory document emphasis feed figure form generic grid "
    "gridcell group heading img insertion link list listbox listitem log main marquee math menu menubar menuitem "
    "menuitemcheckbox menuitemradio meter navigation none note option paragraph presentation progressbar radio "
    "radiogroup region row rowgroup rowheader scrollbar search searchbox separator slider spinbutton status strong "
    "subscript superscript switch tab table tablist tabpanel term textbox time timer toolbar tooltip tree treegrid "
    "treeitem"
)
ROLES = frozenset(_WORDS.split())


def _role(value: str) -> str:
    if value and value not in ROLES:  # an override takes a role away by an empty one
        near = did_you_mean(value, ROLES)
        raise ValueError(f"{shown(value)} is not a role of WAI-ARIA, such as navigation or button{near}")
    return value


Role = Annotated[str, AfterValidator(_role)]
