"""What a page does that it must not."""

from dataclasses import dataclass, field

from playwright.sync_api import ConsoleMessage, Error, Page, Request

__all__ = ["Watch"]


@dataclass
class Watch:
    """Notes what pages do.

    Attributes
    ----------
    url
        Where every request is to go.
    errors
        Errors in the console, and exceptions nobody caught.
    elsewhere
        Requests to other hosts.
    n_requests
        All requests.
    provoked
        Messages with this text are what a test is after: Chromium notes every refused request.
    """

    url: str
    errors: list[str] = field(default_factory=list)
    elsewhere: list[str] = field(default_factory=list)
    n_requests: int = 0
    provoked: str | None = None

    def follow(self, page: Page) -> None:
        """Note what a page does from now on."""
        page.on("console", self._note_message)
        page.on("pageerror", self._note_error)
        page.on("request", self._note_request)

    def _note_message(self, message: ConsoleMessage) -> None:
        is_provoked = self.provoked is not None and self.provoked in message.text
        if message.type in {"error", "warning"} and not is_provoked:
            self.errors.append(f"{message.type}: {message.text}")

    def _note_error(self, error: Error) -> None:
        self.errors.append(str(error))

    def _note_request(self, request: Request) -> None:
        self.n_requests += 1
        if not request.url.startswith((f"{self.url}/", "data:")):
            self.elsewhere.append(request.url)
