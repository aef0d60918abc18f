"""The web page: the live table of candidates, and one page per object.

It is plain HTML, CSS and ES modules, served as they are; all data come from the API. Nothing is loaded from
another host, since observatories use it in networks without access to any.
"""

from service.api.page.routes import router

__all__ = ["router"]
