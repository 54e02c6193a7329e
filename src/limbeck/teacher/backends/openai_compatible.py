"""`openai_compatible`: any server that speaks the OpenAI chat protocol: OpenAI, vLLM, SGLang, llama.cpp, Ollama, proxies.

A thin client for one endpoint on aiohttp, which took the least time and CPU of the transports measured
(`benchmarks/transport.py`). It sends one request and reports the outcome; `Teacher` handles retries, waits and money.
TLS is always verified, redirects are not followed (the key would be sent along), and the key appears in no message.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import aiohttp

from limbeck.data.task import Task
from limbeck.teacher.backends.http_parts import (
    check_base_url,
    join_names,
    list_models,
    read_codes,
    read_finish,
    read_key,
    read_message,
    read_proxy,
    read_retry_after,
    read_usage,
)
from limbeck.teacher.request import Backend, BackendError, Reply, TeacherRequest
from limbeck.teacher.settings import TeacherSettings

CONNECT_TIMEOUT_S = 20.0
CHECK_TIMEOUT_S = 20.0
KEEP_ALIVE_S = 3.0  # common servers drop idle connections after 5 s, possibly just as a request is sent
MAX_BODY_BYTES = 16 * 2**20
TRANSIENT = frozenset({408, 409, 425, 429})
GATEWAY_TIMEOUTS = frozenset({408, 504, 524})  # the server behind the gateway may have answered and charged
REMEDIES = {
    "max_tokens": "teacher.max_tokens_field: max_completion_tokens",
    "max_completion_tokens": "teacher.max_tokens_field: max_tokens",
    "temperature": "teacher.temperature: null",
}
_REFUSED_FIELD = re.compile(r"unsupported (?:parameter|value)\W+(\w+)", re.IGNORECASE)
_KEY_WORDS = re.compile(r"\bkey\b|auth|permission|credential|forbidden|access")  # a 403 may also be about one prompt
_USER_INFO = re.compile(r"://[^\s/@]+@")
OUT_OF_MONEY = ("insufficient_quota", "billing_hard_limit_reached", "insufficient credits")


class OpenAIBackend(Backend):
    """The client; see the module docstring. Its connections belong to the event loop of the first request.

    Raises:
        ConfigError: ``teacher.base_url`` is missing or not the http(s) URL of an API, or the key can't be read or used.
    """

    def __init__(self, settings: TeacherSettings) -> None:
        self._settings = settings
        self._url = check_base_url(settings.base_url)
        self._key = read_key(settings)
        self._session: aiohttp.ClientSession | None = None
        self._proxy = read_proxy(self._url)
        self._has_answered = False  # if so, the key is valid, and a 403 may quote the prompt

    async def send(self, request: TeacherRequest) -> Reply:
        """Make one attempt at one request."""
        status, headers, body = await self._call(
            "POST", "/chat/completions", request.body, self._settings.timeout_s, {"Idempotency-Key": request.idempotency_key}
        )
        if status != 200:
            raise await self._explain(status, headers, body)
        try:
            answer = json.loads(body)
        except (ValueError, RecursionError) as error:
            if "html" in headers.get("Content-Type", ""):
                raise self._no_api(status, headers, self._quote(body)) from error
            raise BackendError(
                f"{self._url}: the reply is cut off or not JSON ({len(body)} bytes: {self._quote(body)})",
                is_transient=True,
                is_maybe_paid=True,
            ) from error
        if isinstance(answer, dict) and answer.get("error") and not answer.get("choices"):
            # Some proxies answer 200 and put the error of the server behind them in the body.
            code = answer["error"].get("code") if isinstance(answer["error"], dict) else None
            inside = await self._explain(code if isinstance(code, int) else 502, headers, body)
            inside.is_maybe_paid = not inside.is_fatal  # status 200 means that the request was accepted
            raise inside
        return self._read_reply(answer, request)

    async def check(self) -> str:
        """Check that the server can be reached and accepts the key by requesting its list of models, which costs nothing.

        Returns:
            A remark if the server lists models but not the teacher's; else an empty string.
        """
        status, headers, body = await self._call("GET", "/models", None, CHECK_TIMEOUT_S)
        if status in (401, 402, 403) or status in TRANSIENT or status >= 500 or 300 <= status < 400:
            raise await self._explain(status, headers, body)
        names = list_models(body)
        if status == 200 and names is None:
            raise self._no_api(status, headers, self._quote(body))
        if status != 200 and not self._url.endswith("/v1") and await self._list_models("/v1/models") is not None:
            raise BackendError(f"{self._url} has no API, but {self._url}/v1 does: set teacher.base_url to that", is_fatal=True)
        if names and self._settings.model not in names:
            return f"{self._url} does not list model {self._settings.model!r}; it lists {self._clean(join_names(names))[:500]}"
        return ""

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    def _open(self) -> aiohttp.ClientSession:
        """Return the session; called before each exchange, so that `embedded` can also restart its server here."""
        if self._session is None:
            connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=KEEP_ALIVE_S)
            self._session = aiohttp.ClientSession(connector=connector)
        return self._session

    async def _call(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None,
        timeout_s: float,
        extra_headers: Mapping[str, str] = MappingProxyType({}),
    ) -> tuple[int, Mapping[str, str], bytes]:
        """Make one HTTP exchange and return status, headers and body; connection failures become `BackendError`."""
        session = self._open()
        headers = {**extra_headers, **({"Authorization": f"Bearer {self._key}"} if self._key else {})}
        limits = aiohttp.ClientTimeout(total=timeout_s, sock_connect=min(CONNECT_TIMEOUT_S, timeout_s))
        try:
            async with session.request(
                method, self._url + path, json=body, headers=headers, timeout=limits, allow_redirects=False, proxy=self._proxy
            ) as response:
                chunks, size = [], 0
                async for chunk in response.content.iter_chunked(65_536):
                    chunks.append(chunk)
                    size += len(chunk)
                    if size > MAX_BODY_BYTES:
                        raise BackendError(f"{self._url}: the reply exceeds {MAX_BODY_BYTES} bytes", is_maybe_paid=True)
                return response.status, response.headers, b"".join(chunks)
        except (aiohttp.ClientSSLError, aiohttp.ClientConnectorCertificateError) as error:
            raise self._fail("its TLS certificate can't be verified", error, is_fatal=True) from error
        except aiohttp.ClientHttpProxyError as error:
            what = f"the proxy set in the environment answered {error.status}"
            is_fatal = 400 <= error.status < 500
            raise self._fail(what, None, is_fatal=is_fatal, is_transient=not is_fatal, is_unsent=True) from error
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            raise self._fail("can't be reached; is it running?", error, is_transient=True, is_unsent=True) from error
        except TimeoutError as error:
            what = f"no complete reply within {timeout_s:g} s (teacher.timeout_s)"
            raise self._fail(what, None, is_transient=True, is_maybe_paid=True) from error
        except (aiohttp.ClientError, OSError) as error:
            raise self._fail("the connection broke", error, is_transient=True, is_maybe_paid=True) from error

    def _fail(self, what: str, error: BaseException | None, **kind: bool) -> BackendError:
        said = "" if error is None else f" ({self._clean(f'{type(error).__name__}: {error}')})"
        return BackendError(f"{self._url}: {what}{said}", **kind)  # type: ignore[arg-type]

    def _read_reply(self, answer: Any, request: TeacherRequest) -> Reply:  # noqa: ANN401 (any JSON value)
        try:
            choice = answer["choices"][0]
            message = choice["message"]
            text, thoughts, refusal = read_message(message)
            finish = read_finish(choice)
        except (LookupError, TypeError, AttributeError) as error:
            raise BackendError(
                f"{self._url}: the reply has no choices[0].message ({self._quote(json.dumps(answer))})", is_maybe_paid=True
            ) from error
        self._has_answered = True
        # If the server reports no counts, charge the upper bound, so that the caps hold.
        usage = answer.get("usage") or answer.get("usageMetadata") or answer
        counts = read_usage(usage, request.token_bound - request.reply_token_bound, request.reply_token_bound)
        return Reply(
            text=self._mask(text or refusal),
            model=self._mask(str(answer.get("model") or request.model))[:200],
            finish_reason="refusal" if refusal else self._clean(finish)[:64],
            **counts,
            reasoning=self._mask(thoughts),
        )

    async def _explain(self, status: int, headers: Mapping[str, str], body: bytes) -> BackendError:
        """Turn a status other than 200 into an error with its consequences for the request and the run, and a remedy."""
        said = self._quote(body)
        lower = body[:4096].decode("utf-8", "replace").lower()  # includes codes that the message leaves out
        codes = read_codes(body)
        place = f"{self._url} answered {status}"
        if status == 401 or (status == 403 and _KEY_WORDS.search(codes if self._has_answered else lower)):
            source = self._settings.api_key_file or f"the environment variable {self._settings.api_key_env}"
            state = f"the key from {source} was refused" if self._key else f"it requires a key, but {source} is not set"
            return BackendError(f"{place}: {state} ({said})", is_fatal=True)
        if status == 402 or any(word in (lower if status == 429 else codes) for word in OUT_OF_MONEY):
            return BackendError(f"{place}: the account can't pay ({said})", is_fatal=True)
        if 300 <= status < 400:
            target = self._clean(headers.get("Location", "nowhere"))[:300]
            return BackendError(f"{place}: it redirects to {target}; set teacher.base_url to the API itself", is_fatal=True)
        if status in TRANSIENT or status >= 500:
            wait_s = read_retry_after(headers)
            return BackendError(
                f"{place}: {said}",
                is_transient=True,
                is_maybe_paid=status in GATEWAY_TIMEOUTS,
                is_throttled=status == 429 or wait_s is not None,
                retry_after_s=wait_s,
            )
        if status in (404, 405):
            return await self._explain_missing(place, said, headers)
        refused = _REFUSED_FIELD.search(said)
        if refused and refused[1] in REMEDIES:
            return BackendError(f"{place}: {said}; set {REMEDIES[refused[1]]}", is_fatal=True)
        if "response_format" in lower or "json_schema" in lower:
            return BackendError(f"{place}: {said}", unsupported="response_format")
        return BackendError(f"{place}: {said}")

    async def _explain_missing(self, place: str, said: str, headers: Mapping[str, str]) -> BackendError:
        names = await self._list_models("/models")
        if names is None:
            return self._no_api(404, headers, said)
        return BackendError(
            f"{place} for model {self._settings.model!r}: {said}. It lists {self._clean(join_names(names))[:500]}; set "
            "teacher.model",
            is_fatal=True,
        )

    async def _list_models(self, path: str) -> list[str] | None:
        """The models that the server lists at a path, or None if it returns no such list."""
        try:
            _, _, body = await self._call("GET", path, None, CHECK_TIMEOUT_S)
        except BackendError:
            return None
        return list_models(body)

    def _no_api(self, status: int, headers: Mapping[str, str], said: str) -> BackendError:
        kind = self._clean(headers.get("Content-Type", "nothing"))[:100]
        return BackendError(
            f"{self._url} answered {status} with {kind}: no OpenAI-compatible API, or no model {self._settings.model_name!r} "
            f"({said[:120]}); teacher.base_url usually ends in /v1",
            is_fatal=True,
        )

    def _quote(self, body: bytes | str) -> str:
        """Shorten a server's message to one line."""
        text = body.decode("utf-8", "replace") if isinstance(body, bytes) else body
        try:
            found = json.loads(text)
            error = found.get("error", found) if isinstance(found, dict) else found
            text = str(error.get("message") or error.get("detail") or error) if isinstance(error, dict) else str(error)
        except (ValueError, RecursionError):
            pass
        return self._clean(text)[:300] or "nothing"

    def _mask(self, text: str) -> str:
        """Mask the key, in case a server repeats it, and replace lone surrogates, which can't be written to a file."""
        text = text.encode("utf-8", "replace").decode("utf-8")
        return text.replace(self._key, "***") if self._key else text

    def _clean(self, text: str) -> str:
        """Put text on one line, and mask the key and a proxy's credentials."""
        return " ".join(_USER_INFO.sub("://", self._mask(text)[:2000]).split())


def open_openai(settings: TeacherSettings, task: Task) -> OpenAIBackend:
    """Open the backend of the settings; the task is not used."""
    return OpenAIBackend(settings)
