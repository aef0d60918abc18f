"""The page that a browser gets: what the service does, its endpoints, its latest results."""

from collections.abc import Iterable
from html import escape
from importlib.resources import files
from string import Template
from urllib.parse import quote

from fastapi import APIRouter
from fastapi.responses import HTMLResponse

from service.api.resources import Needs
from service.api.times import utc_of_mjd_tai
from service.core.alerts import object_key
from service.core.classification import Reason
from service.core.store import LatestResult
from service.errors import ServiceError

__all__ = ["router"]

LATEST_SHOWN = 50

# Nothing comes from elsewhere, and nothing of it is a script.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"

router = APIRouter()


@router.get("/", response_class=HTMLResponse, include_in_schema=False)
def get_page(needs: Needs) -> HTMLResponse:
    """Show the endpoints and the latest results."""
    try:
        latest = _rows(needs.store.latest(LATEST_SHOWN))
        notice = "" if latest else "No alert has been classified yet."
    except ServiceError:
        # The page is for looking at a service that may be half up; what is known is shown.
        latest, notice = "", "The store of objects does not answer at the moment."
    template = Template((files("service.api.page") / "index.html").read_text(encoding="utf-8"))
    html = template.substitute(rows=latest, notice=escape(notice), hidden="" if latest else "hidden")
    return HTMLResponse(html, headers={"Content-Security-Policy": _POLICY, "Cache-Control": "no-store"})


def _rows(results: Iterable[LatestResult]) -> str:
    return "\n".join(map(_row, results))


def _row(result: LatestResult) -> str:
    key = object_key(result.survey, result.object_id)
    utc = utc_of_mjd_tai(result.mjd_tai)
    is_classified = result.reason is Reason.CLASSIFIED
    cells = (
        f"{utc:%Y-%m-%d %H:%M:%S}" if utc else "",
        str(result.n_detections),
        result.class_name if is_classified else result.reason.label.replace("_", " "),
        f"{result.probability:.2f}" if is_classified else "",
    )
    link = f'<td><a href="/v1/objects/{quote(key, safe=":")}">{escape(key)}</a></td>'
    style = "" if is_classified else ' class="abstained"'
    return f"<tr{style}>{link}{''.join(f'<td>{escape(cell)}</td>' for cell in cells)}</tr>"
