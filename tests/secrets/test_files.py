"""Files that are known to hold credentials."""

from __future__ import annotations

import pytest

from wardship.secrets.files import holds_credentials, known


@pytest.mark.parametrize(
    ("path", "content", "values"),
    [
        (".netrc", "machine a\n  login b\n  password v1\nmachine c login d password v2\n", ["v1", "v2"]),
        ("home/.pgpass", "#host:port:database:user:password\nh:5432:d:u:v1\n*:*:d:u:v:2\n", ["v1", "v:2"]),
        (".npmrc", "registry=https://r/\n_auth = dmFs\n//r/:_authToken=v1-long\nx=${NPM_TOKEN}\n", ["dmFs", "v1-long"]),
        (".docker/config.json", '{"auths": {"https://r/": {"auth": "dXNlcjpwYXNz"}}}', ["dXNlcjpwYXNz"]),
        ("config/master.key", "0123456789abcdef" * 2 + "\n", ["0123456789abcdef" * 2]),
        (".htpasswd", "bob:$apr1$salt$hash\n", ["$apr1$salt$hash"]),
        ("etc/shadow", "root:*:1:0:::\nbob:$6$salt$hash:1:0:::\n", ["$6$salt$hash"]),
        (".esmtprc", 'password "v1xx"\n', ["v1xx"]),
        ("src/netrc.py", "password v1", []),
    ],
)
def test_what_a_kind_of_file_holds(path: str, content: str, values: list[str]) -> None:
    data = content.encode()
    assert [data[begin:end].decode() for _, _, begin, end in known(data, path)] == values


def test_a_sample_of_such_a_file_vouches_for_nothing() -> None:
    assert holds_credentials("deploy/.env")
    assert holds_credentials(".env.production")
    assert not holds_credentials(".env.example")
    assert not holds_credentials("src/env.py")
