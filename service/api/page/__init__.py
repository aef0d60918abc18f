"""The page that a browser gets: the live table of candidates, and one page per object.

It is plain HTML, CSS and ES modules, served as they lie here; all data come from the API. Nothing is fetched
from another host: observatories look at it from networks that reach none.
"""

from service.api.page.routes import router

__all__ = ["router"]
