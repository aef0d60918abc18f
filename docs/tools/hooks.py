"""What the site makes of the pages: the front page is the README, and links stay within the site."""

import re
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]


def on_page_markdown(markdown: str, *, page: Any, **_: Any) -> str:
    """Take the README as the front page; name files outside of docs/ rather than link to them."""
    if page.file.src_uri == "index.md":
        markdown = (ROOT / "README.md").read_text(encoding="utf-8")
        markdown = re.sub(r"\]\((?!docs/|https?:|#)[^)]+\)", "]()", markdown).replace("](docs/", "](")
    markdown = re.sub(r"\]\(\.\./[^)]+\)", "]()", markdown)
    return re.sub(r"\[([^\]]+)\]\(\)", r"\1", markdown)
