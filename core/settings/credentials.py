"""Keep passwords out of the configuration: it is recorded in run folders, logs of commands and job databases."""

from __future__ import annotations

import re
from urllib.parse import unquote

from core.settings.reasons import SETTINGS

CURE = (
    "leave it out of the URL: PostgreSQL reads it from $PGPASSWORD, from ~/.pgpass or from a service file "
    "(postgresql:///?service=NAME)"
)
# A user's part of a URL with something behind its colon. A port before a path that holds an @ reads the same; it is
# refused too, since a password may begin with digits.
# The scheme begins where no letter stands before it, and lengths are bounded: a long text would else be read again
# from each of its letters.
_USER = re.compile(r"(?<![a-z0-9+.-])[a-z0-9+.-]+://[^/?#\s:@]{0,256}:[^?#\s@]{1,1024}@", re.IGNORECASE)
_SECRET = (
    r"[\w.-]{0,64}(?:passw(?:or)?d|passwort|passphrase|pwd|secret|token|credential|signature|api_?key|access_?key)"
    r"[\w.-]*"
)
_OPTION = re.compile(rf"[?&;]\s*{_SECRET}\s*=\s*[^&;\s]", re.IGNORECASE)
_WORDS = re.compile(r"(?:^|\s)(?:host|hostaddr|dbname|service|user)\s*=", re.IGNORECASE)
_PASSWORD_WORD = re.compile(r"(?:^|\s)password\s*=\s*\S", re.IGNORECASE)


def holds_password(text: str) -> bool:
    """Whether a text is, or contains, a URL or a connection string of PostgreSQL with a password in it."""
    for form in (text, unquote(text)):
        if _USER.search(form) or _OPTION.search(form.partition("://")[2]):
            return True
        if _WORDS.search(form) and _PASSWORD_WORD.search(form):
            return True
    return False


def refuse_password(name: str, text: str | None, cure: str = CURE) -> None:
    """Raise ConfigError, without quoting it, for a text with a password in it. name: the option that holds it."""
    if text and holds_password(text):
        raise SETTINGS("config_password", name=name, cure=cure)
