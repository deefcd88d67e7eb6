"""The site: Sphinx, MyST and furo.

uv run --all-packages --group docs sphinx-build -qW --keep-going docs build/site
"""

from __future__ import annotations

from importlib import metadata
from pathlib import Path

from docutils import nodes
from sphinx.application import Sphinx

project = "membudget"
release = metadata.version("membudget")
copyright = "the membudget maintainers"  # noqa: A001 - Sphinx calls it so
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx_design"]
html_theme = "furo"
html_title = "membudget"
exclude_patterns = ["examples"]
myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 4
autodoc_member_order = "groupwise"
autodoc_typehints = "description"
napoleon_use_ivar = True


def _first_paragraph(page: nodes.document) -> str:
    text = next((one.astext() for one in page.findall(nodes.paragraph)), "")
    return " ".join(text.split()).removesuffix(":")


def _write_llms_txt(app: Sphinx, error: Exception | None) -> None:
    """Write a list of all pages for language models, with links to the Markdown of each."""
    if error is not None or app.builder.name != "html":
        return
    lines = ["# membudget", "", f"> {_first_paragraph(app.env.get_doctree('index'))}", ""]
    for page in app.env.toctree_includes["index"]:
        title = app.env.titles[page].astext()
        lines.append(
            f"- [{title}](_sources/{page}.md.txt): {_first_paragraph(app.env.get_doctree(page))}"
        )
    Path(app.outdir, "llms.txt").write_text("\n".join([*lines, ""]), encoding="utf-8")


def setup(app: Sphinx) -> None:
    """Add what this site has besides its pages."""
    app.connect("build-finished", _write_llms_txt)
