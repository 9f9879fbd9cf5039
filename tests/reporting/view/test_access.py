"""The token works once, the cookie is what it buys."""

from raypipe.reporting.view.access import Access


def test_a_token_buys_one_cookie() -> None:
    access = Access(8000)
    assert access.redeem("") is None
    assert access.redeem("ünknown") is None
    cookie = access.redeem(access.token)
    assert cookie is not None
    assert cookie.endswith("; Path=/; HttpOnly; SameSite=Strict")
    assert access.token not in cookie
    assert access.redeem(access.token) is None
    pair = cookie.partition(";")[0]
    assert access.is_allowed(pair)
    assert access.is_allowed(f"other=1; {pair}; more=2")


def test_nothing_but_the_cookie_is_let_in() -> None:
    access = Access(8000)
    name, _, value = str(access.redeem(access.token)).partition(";")[0].partition("=")
    for header in (None, "", name, f"{name}=", f"{name}={value[:-1]}", f"other={value}", "\x00=;"):
        assert not access.is_allowed(header), header
    another = Access(8001)
    assert not another.is_allowed(f"{name}={value}")


def test_only_this_server_s_own_names_are_hosts() -> None:
    access = Access(8000)
    assert access.is_own_host("127.0.0.1:8000")
    assert access.is_own_host("LOCALHOST:8000")
    for host in (None, "", "127.0.0.1", "127.0.0.1:8001", "evil.example:8000", "0.0.0.0:8000"):
        assert not access.is_own_host(host), host
