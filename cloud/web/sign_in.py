"""Signing in with a password or a one-time link, and out."""

from __future__ import annotations

from typing import Annotated

from litestar import Response, get, post
from litestar.params import FromPath
from litestar.response import Redirect
from msgspec import Meta, Struct

from cloud.access import accounts
from cloud.access.http import ended_cookie, session_cookie
from cloud.access.principal import Principal
from cloud.access.services import Services, services_of
from cloud.errors import DeniedError, RateLimitedError, UnauthorizedError
from cloud.store.database import reading, writing
from cloud.web.page import HtmlRequest, html, read_form, render

#: Bytes of a form: a name, a password and an address.
FORM_BYTES = 10_000


class SignIn(Struct, frozen=True):
    """The form. `next` is the page that was asked for."""

    user: Annotated[str, Meta(max_length=100)] = ""
    password: Annotated[str, Meta(max_length=200)] = ""
    next: Annotated[str, Meta(max_length=2_000)] = "/"


@get("/sign-in", include_in_schema=False)
async def sign_in_page(request: HtmlRequest) -> Response[str]:
    """The form."""
    return html(render("sign_in.html", error="", user="", next=local(request.query_params.get("next", "/"))))


@post("/sign-in", include_in_schema=False, request_max_body_size=FORM_BYTES)
async def sign_in(request: HtmlRequest) -> Response[str] | Redirect:
    """Sign in with a password."""
    same_origin(request)
    form = await read_form(request, SignIn)
    services = services_of(request)
    try:
        take(request, services)
    except RateLimitedError as error:
        return _again(form, str(error), 429)
    async with reading(services.engine) as conn:
        stored = await accounts.password_of(conn, form.user)
    if not await services.passwords.check(stored, form.password):
        return _again(form, "The name or the password is wrong.", 401)
    async with writing(services.engine) as conn:
        token = await accounts.start_session(conn, services.runtime, form.user, services.config.sessions)
    return _enter(request, services, token, form.next)


@get("/sign-in/{token:str}", include_in_schema=False)
async def link_page(request: HtmlRequest, token: FromPath[str]) -> Response[str]:
    """Asks first: a mail scanner that opens the link must not use it up."""
    return html(render("sign_in_link.html", token=token, error="", user=request.scope["user"]))


@post("/sign-in/{token:str}", include_in_schema=False, request_max_body_size=FORM_BYTES)
async def use_link(request: HtmlRequest, token: FromPath[str]) -> Response[str] | Redirect:
    """Sign in with a one-time link."""
    same_origin(request)
    services = services_of(request)
    try:
        take(request, services)
        async with writing(services.engine) as conn:
            session = await accounts.use_link(conn, services.runtime, token, services.config.sessions)
    except (UnauthorizedError, RateLimitedError) as error:
        status = 429 if isinstance(error, RateLimitedError) else 401
        return html(render("sign_in_link.html", token=token, error=str(error), user=None), status)
    return _enter(request, services, session, "/")


@post("/sign-out", include_in_schema=False, request_max_body_size=FORM_BYTES)
async def sign_out(request: HtmlRequest) -> Redirect:
    """End the session here and there."""
    services = services_of(request)
    token: object = request.scope["auth"]
    if isinstance(request.scope["user"], Principal) and isinstance(token, str):
        async with writing(services.engine) as conn:
            await accounts.end_session(conn, token)
    return Redirect("/sign-in", status_code=303, cookies=[ended_cookie(secure=secure(request, services))])


def take(request: HtmlRequest, services: Services) -> None:
    """Count a try of this address. Raises RateLimitedError."""
    services.sign_ins.take(request.client.host if request.client else "")


def local(path: str) -> str:
    """`path` where it is one of ours, else the first page: no sign-in sends anybody elsewhere."""
    fits = path.startswith("/") and not path.startswith(("//", "/\\", "/sign-")) and path.isprintable()
    return path if fits and "\\" not in path else "/"


def same_origin(request: HtmlRequest) -> None:
    """Raises DeniedError where a browser says that another site's page sent the form: nobody signs you in as himself."""
    if request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        raise DeniedError("this form was sent by another site's page; open the sign-in page here")


def secure(request: HtmlRequest, services: Services) -> bool:
    """Whether people reach this over HTTPS."""
    return services.config.server.public_url.startswith("https://") or request.url.scheme == "https"


def _enter(request: HtmlRequest, services: Services, token: str, target: str) -> Redirect:
    cookie = session_cookie(token, secure=secure(request, services))
    return Redirect(local(target), status_code=303, cookies=[cookie])


def _again(form: SignIn, error: str, status: int) -> Response[str]:
    return html(render("sign_in.html", error=error, user=form.user, next=local(form.next)), status)
