"""What the site of `make docs` has besides docs/: a hook of MkDocs, named in mkdocs.yml.

The pages are written for GitHub, where their links lead to files of the repository. Each file that
a page links to becomes a page as well, and the links are rewritten. The README is the first page;
a link to openapi.json leads to the API's reference, which is made of it.
"""

from __future__ import annotations

import json
import posixpath
import re
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

from tools.api_reference import api_reference

ROOT: Final = Path(__file__).parent.parent
_HOME, _REFERENCE, _OPENAPI = "index.md", "api-reference.md", "docs/openapi.json"
_LINK: Final = re.compile(r"(?<=\]\()[^()\s:]+(?=\))")
_CODE: Final = re.compile(r"^ *```.*?^ *```$", re.MULTILINE | re.DOTALL)
# Copied as they are, beside Markdown; other files are shown as code.
_COPIED: Final = (".gif", ".ipynb", ".jpeg", ".jpg", ".png", ".svg")
# What a browser would fetch from elsewhere by itself.
_FOREIGN: Final = re.compile(r"<(?:script|img|iframe|link)\b[^>]*\b(?:src|href)=\"?(?:https?:)?//")


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Headings get GitHub's anchors."""
    config.mdx_configs["toc"]["slugify"] = _anchor
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds the pages that are not in docs/, and all that `nav` leaves out to its end."""
    files.append(File.generated(config, _REFERENCE, content=api_reference()))
    waiting = [f"docs/{file.src_uri}" for file in files.documentation_pages()]
    waiting = ["README.md", *(path for path in waiting if (ROOT / path).is_file())]
    seen = set(waiting)
    for path in waiting:
        if files.get_file_from_path(_site_path(path)) is None:
            files.append(_file(config, path))
        if path.endswith(".md"):
            links = {_target(path, link) for link in _links((ROOT / path).read_text("utf-8"))}
            found = {link for link in links if (ROOT / link).is_file()}
            waiting += sorted(found - seen)
            seen |= found
    named = json.dumps(config.nav)
    config.nav += [
        file.src_uri
        for file in files.documentation_pages()
        if f'"{file.src_uri}"' not in named and not file.src_uri.startswith("repository/")
    ]
    return files


def on_page_markdown(markdown: str, page: Page, **_: Any) -> str:
    """Rewrites links between files of the repository as links between pages of the site."""
    here = page.file.src_uri
    source = _repository_path(here)
    if here == _REFERENCE or not source.endswith(".md"):
        return markdown

    def rewrite(match: re.Match[str]) -> str:
        path, hash_sign, anchor = match[0].partition("#")
        if not path:
            return match[0]
        target = _site_path(_target(source, path))
        return posixpath.relpath(target, posixpath.dirname(here)) + hash_sign + anchor

    ends = [0, *(end for match in _CODE.finditer(markdown) for end in match.span()), len(markdown)]
    return "".join(
        markdown[begin:end] if number % 2 else _LINK.sub(rewrite, markdown[begin:end])
        for number, (begin, end) in enumerate(pairwise(ends))
    )


def on_post_page(output: str, page: Page, **_: Any) -> str:
    """Refuses a page that would fetch anything from another host."""
    if found := _FOREIGN.search(output):
        raise PluginError(f"{page.file.src_uri} loads {output[found.start() : found.end() + 60]}")
    return output


def _anchor(heading: str, separator: str) -> str:
    return re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", separator)


def _links(markdown: str) -> list[str]:
    links = _LINK.findall(_CODE.sub("", markdown))
    return [path for path in (link.partition("#")[0] for link in links) if path]


def _target(source: str, link: str) -> str:
    """The path in the repository that a link of the file `source` leads to."""
    return posixpath.normpath(posixpath.join(posixpath.dirname(source), link))


def _site_path(path: str) -> str:
    """Where the site has a file of the repository."""
    if path == "README.md":
        return _HOME
    if path == _OPENAPI:
        return _REFERENCE
    if path.startswith("docs/"):
        return path.removeprefix("docs/")
    return f"repository/{path}" + ("" if path.endswith((".md", *_COPIED)) else ".md")


def _repository_path(site_path: str) -> str:
    if site_path == _HOME:
        return "README.md"
    if site_path.startswith("repository/"):
        path = site_path.removeprefix("repository/")
        return path if (ROOT / path).is_file() else path.removesuffix(".md")
    return f"docs/{site_path}"


def _file(config: MkDocsConfig, path: str) -> File:
    """A file of the repository as part of the site; text that is no Markdown as code."""
    file, place = ROOT / path, _site_path(path)
    if path.endswith((".md", *_COPIED)):
        return File.generated(config, place, abs_src_path=str(file))
    code = f"# {file.name}\n\n```{file.suffix[1:]}\n{file.read_text('utf-8')}\n```\n"
    return File.generated(config, place, content=code)
