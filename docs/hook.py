"""What mkdocs calls while it builds the site: adds the generated pages, refuses undocumented public names."""

from __future__ import annotations

import logging
import re
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

from docs.generate.site import INSERTS, pages, undocumented

# A warning of this logger fails a strict build.
LOG = logging.getLogger("mkdocs.hooks.triptych")
_INSERT = re.compile(r"^<!-- insert: ([a-z-]+) -->$", re.MULTILINE)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the generated pages to those in docs/."""
    for path, make in pages().items():
        files.append(File.generated(config, path, content=make()))
    for name in undocumented():
        LOG.warning("public name without a docstring: %s", name)
    return files


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Replace each `<!-- insert: NAME -->` line of a page with what the code declares."""
    return _INSERT.sub(lambda match: INSERTS[match[1]](), markdown)
