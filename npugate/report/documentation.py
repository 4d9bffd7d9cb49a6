"""Where the pages of the documentation can be seen, for the links of the reports."""

from __future__ import annotations

import re
from typing import Final

from msgspec import Struct

from npugate import SITE

SITE_SUFFIX: Final = "/"
FILE_SUFFIX: Final = ".md"
_PAGE: Final = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")


class Documentation(Struct, frozen=True):
    """The place of the pages; empty where none is known, and then nothing links to them.

    Attributes:
        base: what the path of a page follows, with a slash at its end:
            ``https://host.example/npugate/`` or ``https://github.com/OWNER/NAME/blob/REVISION/docs/``.
        suffix: how a page's address ends: ``/`` on the site, ``.md`` in a repository.
    """

    base: str = ""
    suffix: str = SITE_SUFFIX

    @property
    def home(self) -> str:
        """The address of the whole; empty where it is not known."""
        if not self.base or self.suffix == SITE_SUFFIX:
            return self.base
        return f"{self.base}rules/README{self.suffix}"

    def rule(self, name: str) -> str:
        """Return the address of a rule's page; empty where it is not known."""
        return self._page("rules", name)

    def repair(self, name: str) -> str:
        """Return the address of a repair's page; empty where it is not known."""
        return self._page("repairs", name)

    def _page(self, folder: str, name: str) -> str:
        # A name may come from the report of a container that untrusted models were read in.
        if not self.base or not _PAGE.fullmatch(name):
            return ""
        return f"{self.base}{folder}/{name}{self.suffix}"


OF_SITE: Final = Documentation(SITE)
"""The site, which every report links to as soon as there is one."""
