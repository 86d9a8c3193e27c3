"""The error of a request, and tables of reasons for it: free of HTTP packages, which not every installation has."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from core.errors import TriptychError
from core.reasons import Reasons

# nginx's status for a client that left before it was answered
CLIENT_GONE = 499


class ServiceError(TriptychError):
    """A request cannot be answered as asked.

    status: of HTTP. param: the field at fault, None where there is no single one. headers: sent with the answer.
    """

    def __init__(
        self,
        status: int,
        code: str,
        sentence: str,
        param: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(code, sentence)
        self.status = status
        self.param = param
        self.headers = dict(headers or {})

    def __reduce__(self) -> tuple[type, tuple[Any, ...]]:
        return type(self), (self.status, self.code, self.sentence, self.param, self.headers)


class ServiceReasons(Reasons[ServiceError]):
    """Reasons of answers over HTTP: code → (status, sentence)."""

    def __init__(self, about: str, answers: Mapping[str, tuple[int, str]]) -> None:
        super().__init__(ServiceError, about, {code: sentence for code, (_, sentence) in answers.items()})
        self.statuses = {code: status for code, (status, _) in answers.items()}

    def __call__(  # type: ignore[override]
        self,
        code: str,
        /,
        *,
        param: str | None = None,
        headers: Mapping[str, str] | None = None,
        **values: object,
    ) -> ServiceError:
        """Return the error of a code. param: the field at fault, which its sentence may quote too.

        Raises KeyError for a code, or a value, that the table lacks.
        """
        sentence = self.sentence(code, param=param, **values)
        return self.error(self.statuses[code], code, sentence, param, headers)
