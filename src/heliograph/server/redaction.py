"""Takes secrets out of text that is about to be written down.

Two ways at once: every configured secret by its value, in each spelling in which programs write
values down (as it is, percent-encoded, with JSON or Python escapes, in base64 at any offset), and
by what credentials of others look like. Invariant: of a known secret of `PIECE` characters or
more not even `PIECE` of them in a row stay, so a text that was cut in its middle tells nothing.
"""

import base64
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

REDACTED = "[redacted]"
PIECE = 8  # characters of a secret in a row that give too much away
SHORTEST = 4  # shorter values are words, not secrets
HEADERS = ("authorization", "proxy-authorization", "x-goog-api-key", "x-api-key", "api-key")
COOKIES = ("set-cookie", "cookie")
QUERY = ("key", "api_key", "apikey", "access_token", "token", "sig", "signature", "password")
_ESCAPE = re.compile(r"%([0-9a-fA-F]{2})|\\+u([0-9a-fA-F]{4})|\\+x([0-9a-fA-F]{2})|\\+([/\"'\\])")
_BETWEEN = r"[\"'\]]*\s*[:=,]\s*b?[\"']?(?:(?:bearer|basic|key)\s+)?"  # a header's name and value
_LAYERS = 3  # encodings upon encodings that are looked through
SHORT = 100  # characters of a text that is remembered
MOST = 4096  # texts that are remembered to hold no secret: names of routes, of users, addresses

_PATTERNS = tuple(
    re.compile(pattern, re.IGNORECASE | re.DOTALL)
    for pattern in (
        # a cookie header holds several values, each up to the end of the line
        rf"(?:{'|'.join(COOKIES)})[\"']?\s*[:=]\s*(?P<secret>[^\r\n]+)",
        rf"(?:{'|'.join(HEADERS)}){_BETWEEN}(?P<secret>[^\s\"',;}}]+)",
        r"\b(?:bearer|basic)\s+(?P<secret>[A-Za-z0-9._~+/=-]{8,})",
        rf"[?&;](?:{'|'.join(QUERY)})=(?P<secret>[^&\s\"'<>]+)",
        r"://[^/\s:@]*:(?P<secret>[^/\s@]+)@",
        r"(?P<secret>-----BEGIN [A-Z0-9 ]+-----.*?(?:-----END [A-Z0-9 ]+-----|\Z))",
    )
) + tuple(
    re.compile(pattern, re.DOTALL)
    for pattern in (
        r"(?P<secret>AIza[\w-]{10,})",
        r"(?P<secret>AQ\.[\w.-]{10,})",
        r"(?P<secret>ya29\.[\w.-]{10,})",
        r"(?P<secret>\bsk-[\w-]{8,})",
        r"(?P<secret>helio_[a-z]+_\w{4,})",
        r"(?P<secret>\bwhsec_[\w+/=-]{8,})",
        r"(?P<secret>\beyJ[\w-]{8,}\.[\w-]+(?:\.[\w-]*)?)",
    )
)


@dataclass(frozen=True, kw_only=True)
class _View:
    """A text as it reads, and where each of its characters stands in the text as it is."""

    text: str
    begins: list[int]
    ends: list[int]


class Redactor:
    """Knows the secrets of this process.

    Args:
        secrets: texts that must appear nowhere; those shorter than `SHORTEST` are no secrets.
    """

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._pieces: set[str] = set()
        self._short: set[str] = set()
        self._harmless: set[str] = set()
        self.add(*secrets)

    def add(self, *secrets: str) -> None:
        """Learn secrets that were made or found later."""
        for secret in filter(None, secrets):
            if len(secret) < PIECE:
                if len(secret) >= SHORTEST:
                    self._short.add(secret)
                continue
            for spelled in _spellings(secret):
                self._pieces.update(_cut(spelled))
        self._harmless = set()  # last, so that nothing that was looked at before stays in it

    def clean(self, text: str) -> str:
        """The text without secrets; what was one is `REDACTED`."""
        known = self._harmless
        if text in known:
            return text
        cleaned = self._cleaned(text)
        # only what holds no secret stays in memory, and not if one was learned meanwhile
        if cleaned is text and len(text) <= SHORT and known is self._harmless:
            if len(known) >= MOST:
                known.clear()
            known.add(text)
        return cleaned

    def _cleaned(self, text: str) -> str:
        spans: list[tuple[int, int]] = []
        for view in _views(text):
            for begin, end in self._found(view.text):
                spans.append((view.begins[begin], view.ends[end - 1]))
        if not spans:
            return text
        parts, done = [], 0
        for begin, end in _merged(spans):
            parts += [text[done:begin], REDACTED]
            done = end
        return "".join([*parts, text[done:]])

    def _found(self, text: str) -> Iterator[tuple[int, int]]:
        pieces = self._pieces
        if pieces:
            for at in range(len(text) - PIECE + 1):
                if text[at : at + PIECE] in pieces:
                    yield at, at + PIECE
        for pattern in _PATTERNS:
            for match in pattern.finditer(text):
                yield match.span("secret")
        for secret in self._short:
            # a short one may be a part of any word, so it counts where it stands alone
            for match in re.finditer(rf"(?<!\w){re.escape(secret)}(?!\w)", text):
                yield match.span()


def _spellings(secret: str) -> Iterator[str]:
    """What a secret may look like once percent and backslash escapes are read."""
    yield secret
    yield secret.replace(" ", "+")
    data = secret.encode(errors="surrogatepass")
    yield base64.b16encode(data).decode()
    yield base64.b16encode(data).decode().lower()
    for lead in range(3):
        # behind 0, 1 or 2 bytes of something else: the first and last characters mix with those
        coded = base64.b64encode(bytes(lead) + data).decode().rstrip("=")
        inner = coded[-(-lead * 8 // 6) :]
        inner = inner if (lead + len(data)) % 3 == 0 else inner[:-1]
        yield inner
        yield inner.replace("+", "-").replace("/", "_")
    # read as Latin letters, which is what percent escapes of other letters look like one by one
    yield data.decode("latin-1")


def _cut(text: str) -> Iterator[str]:
    if len(text) < PIECE:
        return
    for at in range(len(text) - PIECE + 1):
        yield text[at : at + PIECE]


def _views(text: str) -> Iterator[_View]:
    """The text, and the text with its escapes read, layer by layer."""
    places = range(len(text))
    view = _View(text=text, begins=list(places), ends=[at + 1 for at in places])
    yield view
    for _ in range(_LAYERS):
        if "%" not in view.text and "\\" not in view.text:
            return
        deeper = _read(view)
        if deeper.text == view.text:
            return
        view = deeper
        yield view


def _read(view: _View) -> _View:
    letters: list[str] = []
    begins: list[int] = []
    ends: list[int] = []
    at = 0
    while at < len(view.text):
        match = _ESCAPE.match(view.text, at) if view.text[at] in "%\\" else None
        stop = match.end() if match else at + 1
        code = match and next((g for g in match.groups()[:3] if g), None)
        letter = chr(int(code, 16)) if code else match[4] if match else view.text[at]
        letters.append(letter)
        begins.append(view.begins[at])
        ends.append(view.ends[stop - 1])
        at = stop
    return _View(text="".join(letters), begins=begins, ends=ends)


def _merged(spans: Iterable[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    begin, end = -1, -1
    for first, last in sorted(spans):
        if first > end:
            if end > begin:
                yield begin, end
            begin, end = first, last
        end = max(end, last)
    yield begin, end
