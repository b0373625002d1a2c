"""Links that lead out of docs/ work on the site too: what they lead to comes along, under ``repository/``.

In the repository a page links to ``../benchmarks/results/RECORD.md`` or ``../notebooks``; on the site such a file lies
at ``repository/benchmarks/results/RECORD``: Markdown as a page that the search finds, anything else as it is. A link to
a directory leads to its README. No page has to be written in two ways.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from posixpath import normpath, relpath
from typing import Any

from mkdocs.structure.files import File, Files, InclusionLevel

ROOT = Path(__file__).parents[2]
DOCS, ALONG = "docs", "repository"
LINK = re.compile(r"(\]\()([^)\s#]+)((?:#[^)\s]*)?\))")
"""The part of a Markdown link from ``](`` on: before, where it leads, and the rest."""


def on_files(files: Files, config: Any) -> Files:
    """Add every file outside of docs/ that a page, or a page that came along, links to."""
    waiting = [file for file in files if file.is_documentation_page() and file.abs_src_path]
    while waiting:
        page = waiting.pop()
        for target in sorted(_outside(page)):
            uri = f"{ALONG}/{target}"
            if files.get_file_from_path(uri) is None:
                made = File.generated(config, uri, abs_src_path=str(ROOT / target), inclusion=InclusionLevel.NOT_IN_NAV)
                files.append(made)
                waiting += [made] if made.is_documentation_page() else []
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Files) -> str:  # noqa: ARG001 - mkdocs' signature
    """The page's text with its links turned to where things lie on the site."""
    uri = page.file.src_uri

    def on_site(target: str) -> str:
        inside = PurePosixPath(target).is_relative_to(DOCS)
        there = str(PurePosixPath(target).relative_to(DOCS)) if inside else f"{ALONG}/{target}"
        return relpath(there, str(PurePosixPath(uri).parent))

    return _with_links(markdown, _in_repository(uri), on_site)


def _in_repository(uri: str) -> str:
    """Where a page of the site lies in the repository."""
    here = PurePosixPath(uri)
    return str(here.relative_to(ALONG)) if here.is_relative_to(ALONG) else f"{DOCS}/{uri}"


def _outside(page: File) -> set[str]:
    """What a page links to outside of docs/, as paths in the repository."""
    found: set[str] = set()

    def note(target: str) -> str:
        if not PurePosixPath(target).is_relative_to(DOCS):
            found.add(target)
        return target

    text = Path(str(page.abs_src_path)).read_text(encoding="utf-8")
    _with_links(text, _in_repository(page.src_uri), note)
    return found


def _with_links(text: str, origin: str, replaced: Callable[[str], str]) -> str:
    """A page's text with ``replaced`` applied to links that lead to a file of the repository; others stay."""

    def one(match: re.Match[str]) -> str:
        target = _target(match[2], origin)
        return f"{match[1]}{replaced(target)}{match[3]}" if target else match[0]

    return LINK.sub(one, text)


def _target(link: str, origin: str) -> str | None:
    """The file of the repository that a link means, a directory's README; None for what is none, such as an address."""
    path = normpath(PurePosixPath(origin).parent / link)
    if ":" in link or path.startswith(".."):
        return None
    if (ROOT / path).is_dir():
        path = f"{path}/README.md"
    return path if (ROOT / path).is_file() else None
