"""Signatures, against the example of the standard."""

import stat

import pytest

from nodegraph.errors import SettingsError
from server.webhooks.signing import Signer, new_secret, read_or_create_secret


def test_the_example_of_the_standard_is_signed_as_it_says():
    signer = Signer("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")

    headers = signer.headers("msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}')

    assert headers["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


@pytest.mark.parametrize("secret", ["", "whsec_", "whsec_AAAA", "no base64 at all!", "short"])
def test_a_bad_secret_is_refused_with_a_good_one(secret):
    with pytest.raises(SettingsError, match="whsec_"):
        Signer(secret)


def test_a_secret_is_made_once_and_only_its_owner_can_read_it(tmp_path):
    file = tmp_path / "secret"

    first, again = read_or_create_secret(file), read_or_create_secret(file)

    assert first == again != new_secret()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    Signer(first)
