"""Where the credentials for a bucket come from, and in which forms they are given."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from requests import PreparedRequest, Request

from staticstore import AuthorizationError, StoreError
from staticstore.transport.buckets.credentials import bucket_authentication
from staticstore.transport.buckets.location import BucketLocation
from staticstore.transport.buckets.signer import BucketSigner

ENDPOINTS = {"az": "https://survey.blob.core.windows.net"}
KEY = {"access_key_id": "ali", "secret_access_key": "open-sesame"}
ACCOUNT_KEY = "b3Blbi1zZXNhbWU="
NOW = datetime.now(UTC)


def bucket(scheme: str) -> BucketLocation:
    return BucketLocation.parse(f"{scheme}://maps", ENDPOINTS.get(scheme), "eu-west-3")


def signer(scheme: str, auth: Any = None) -> BucketSigner:
    return bucket_authentication(auth, bucket(scheme), anonymous=False)


def sent(signer: BucketSigner) -> PreparedRequest:
    request = Request("GET", "https://data.example/a", headers={"Range": "bytes=0-3"}).prepare()
    return signer(request)


def authorization(scheme: str, auth: Any = None) -> str | None:
    return sent(signer(scheme, auth)).headers.get("Authorization")


@pytest.mark.parametrize(
    ("scheme", "auth", "beginning"),
    [
        ("s3", KEY, "AWS4-HMAC-SHA256 Credential=ali/"),
        ("s3", ("ali", "open-sesame"), "AWS4-HMAC-SHA256 Credential=ali/"),
        ("s3", {f"AWS_{name.upper()}": KEY[name] for name in KEY}, "AWS4-HMAC-SHA256 "),
        ("s3", lambda: {**KEY, "token": "t", "expires_at": None}, "AWS4-HMAC-SHA256 "),
        ("gs", KEY, "GOOG4-HMAC-SHA256 Credential=ali/"),
        ("gs", {"token": "t"}, "Bearer t"),
        ("az", {"token": "t", "expires_at": NOW}, "Bearer t"),
        ("az", {"account_key": ACCOUNT_KEY}, "SharedKey survey:"),
        ("az", {"azure_storage_account_key": ACCOUNT_KEY}, "SharedKey survey:"),
        ("az", {"access_key": ACCOUNT_KEY, "account_name": "other"}, "SharedKey other:"),
        ("az", ("other", ACCOUNT_KEY), "SharedKey other:"),
    ],
)
def test_credentials_have_the_names_of_obstore(scheme: str, auth: Any, beginning: str) -> None:
    found = authorization(scheme, auth)
    assert found is not None
    assert found.startswith(beginning)


def test_a_credential_provider_of_obstore_is_such_a_function(
    environment: pytest.MonkeyPatch,
) -> None:
    pytest.importorskip("boto3")
    providers = pytest.importorskip("obstore.auth.boto3")
    environment.setenv("AWS_ACCESS_KEY_ID", "eve")
    environment.setenv("AWS_SECRET_ACCESS_KEY", "open-sesame")
    assert "Credential=eve/" in str(authorization("s3", providers.Boto3CredentialProvider()))


def test_the_token_of_temporary_credentials_is_sent_and_signed() -> None:
    request = sent(signer("s3", {**KEY, "session_token": "FQoGZ"}))
    assert request.headers["X-Amz-Security-Token"] == "FQoGZ"
    assert ";x-amz-security-token," in request.headers["Authorization"]


@pytest.mark.parametrize(
    "access", ["?sv=1&sig=x%3D", "sv=1&sig=x%3D", [("sv", "1"), ("sig", "x=")]]
)
def test_a_shared_access_signature_is_in_the_url_that_is_sent(access: Any) -> None:
    request = sent(signer("az", {"sas_token": access}))
    assert request.url == "https://data.example/a?sv=1&sig=x%3D"
    assert "Authorization" not in request.headers


@pytest.mark.parametrize(
    ("scheme", "variables", "beginning"),
    [
        ("s3", {"AWS_ACCESS_KEY_ID": "ali", "AWS_SECRET_ACCESS_KEY": "x"}, "AWS4-HMAC-SHA256 "),
        ("az", {"AZURE_STORAGE_ACCOUNT_KEY": ACCOUNT_KEY}, "SharedKey survey:"),
        ("az", {"AZURE_STORAGE_TOKEN": "t"}, "Bearer t"),
    ],
)
def test_they_are_found_in_the_environment(
    scheme: str, variables: dict[str, str], beginning: str, environment: pytest.MonkeyPatch
) -> None:
    for name, value in variables.items():
        environment.setenv(name, value)
    assert str(authorization(scheme)).startswith(beginning)


def test_they_are_found_in_the_selected_profile(
    environment: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / ".aws").mkdir()
    (tmp_path / ".aws/credentials").write_text(
        "[survey]\naws_access_key_id = eve\naws_secret_access_key = open-sesame\n"
    )
    environment.setenv("AWS_PROFILE", "survey")
    assert "Credential=eve/" in str(authorization("s3"))


def test_a_profile_without_keys_is_named(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("AWS_PROFILE", "survay")
    with pytest.raises(AuthorizationError, match="AWS_PROFILE selects 'survay', which has no keys"):
        authorization("s3")


@pytest.mark.parametrize(
    ("scheme", "name"),
    [("s3", "AWS_SKIP_SIGNATURE"), ("gs", "GOOGLE_SKIP_SIGNATURE"), ("az", "AZURE_SKIP_SIGNATURE")],
)
def test_the_environment_can_say_that_none_are_sent(
    scheme: str, name: str, environment: pytest.MonkeyPatch
) -> None:
    environment.setenv(name, "true")
    assert authorization(scheme) is None


@pytest.mark.parametrize("scheme", ["s3", "gs", "az"])
def test_none_found_says_where_they_are_looked_for(scheme: str) -> None:
    with pytest.raises(AuthorizationError, match=r"set .*anonymous=True"):
        signer(scheme)


def test_the_instance_is_asked_by_nobody(environment: pytest.MonkeyPatch) -> None:
    # The tests refuse connections that leave the machine, with another error.
    environment.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", "/nowhere")
    with pytest.raises(AuthorizationError):
        signer("s3")


@pytest.mark.parametrize(
    ("scheme", "auth", "complaint"),
    [
        ("s3", {"access_key_id": "ali"}, "secret_access_key"),
        ("s3", {**KEY, "region": "eu-west-3"}, "without 'region'"),
        ("s3", {**KEY, "secret_access_key": "b\nc"}, "auth for s3://"),
        ("s3", {**KEY, "expires_at": "soon"}, "datetime"),
        ("gs", {"service_account_key": "{no json"}, "auth for gs://"),
        ("az", {}, "auth for az://"),
    ],
)
def test_incomplete_credentials_are_refused(scheme: str, auth: Any, complaint: str) -> None:
    with pytest.raises((TypeError, ValueError), match=complaint):
        signer(scheme, auth)


def test_a_key_that_is_not_in_base64_is_not_repeated() -> None:
    with pytest.raises(StoreError, match="Base64") as caught:
        signer("az", {"account_key": "open-sesame!"})
    assert "sesame" not in str(caught.value)


# Renewal


class Provider:
    """Returns a key that expires after some seconds; each has another name."""

    def __init__(self, *seconds: float) -> None:
        self._seconds = list(seconds)
        self.calls = 0

    def __call__(self) -> dict[str, Any]:
        self.calls += 1
        expires_at = datetime.now(UTC) + timedelta(seconds=self._seconds.pop(0))
        return {**KEY, "access_key_id": f"key-{self.calls}", "expires_at": expires_at}


def test_a_function_is_called_again_before_what_it_returned_expires() -> None:
    provider = Provider(30, 3600)
    auth = signer("s3", provider)
    assert provider.calls == 1
    assert "Credential=key-2/" in sent(auth).headers["Authorization"]
    assert "Credential=key-2/" in sent(auth).headers["Authorization"]
    assert provider.calls == 2


def test_a_function_whose_credentials_do_not_expire_is_called_once() -> None:
    provider = Provider(3600)
    auth = signer("s3", provider)
    sent(auth), sent(auth)
    assert provider.calls == 1


class FailingProvider(Provider):
    """Fails after the first call."""

    def __call__(self) -> dict[str, Any]:
        if self.calls:
            raise RuntimeError("open-sesame")
        return super().__call__()


def test_credentials_that_are_valid_for_a_while_are_used_if_they_cannot_be_renewed(
    caplog: pytest.LogCaptureFixture,
) -> None:
    auth = signer("s3", FailingProvider(30))
    assert "Credential=key-1/" in sent(auth).headers["Authorization"]
    assert "not renewed: RuntimeError" in caplog.text
    assert "sesame" not in caplog.text


def test_an_error_of_the_function_is_raised_once_nothing_is_valid() -> None:
    auth = signer("s3", FailingProvider(-1))
    with pytest.raises(RuntimeError):
        sent(auth)


# Google


@pytest.fixture(scope="module")
def account() -> dict[str, str]:
    """A service account with a key made for this run."""
    rsa = pytest.importorskip("cryptography.hazmat.primitives.asymmetric.rsa")
    forms = pytest.importorskip("cryptography.hazmat.primitives.serialization")
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(forms.Encoding.PEM, forms.PrivateFormat.PKCS8, forms.NoEncryption())
    return {
        "type": "service_account",
        "client_email": "reader@survey.iam.gserviceaccount.com",
        "token_uri": "https://oauth2.googleapis.com/token",
        "private_key_id": "1",
        "private_key": pem.decode(),
    }


def _verified(token: str, account: dict[str, str]) -> dict[str, Any]:
    """Return what a token says, verified by google-auth."""
    jwt = pytest.importorskip("google.auth.jwt")
    forms = pytest.importorskip("cryptography.hazmat.primitives.serialization")
    key = forms.load_pem_private_key(account["private_key"].encode(), None).public_key()
    public = key.public_bytes(forms.Encoding.PEM, forms.PublicFormat.SubjectPublicKeyInfo)
    found: dict[str, Any] = jwt.decode(token, certs=public)
    return found


@pytest.mark.parametrize("form", ["mapping", "text", "path", "variable", "gcloud"])
def test_a_service_account_signs_its_own_token(
    account: dict[str, str], form: str, tmp_path: Path, environment: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "key.json"
    path.write_text(json.dumps(account))
    auth: Any = {
        "mapping": {"service_account_key": account},
        "text": {"service_account_key": path.read_text()},
        "path": {"service_account": str(path)},
    }.get(form)
    if form == "variable":
        environment.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(path))
    if form == "gcloud":
        environment.setenv("CLOUDSDK_CONFIG", str(tmp_path))
        path.rename(tmp_path / "application_default_credentials.json")
    scheme, _, token = str(authorization("gs", auth)).partition(" ")
    said = _verified(token, account)
    assert (scheme, said["iss"]) == ("Bearer", account["client_email"])
    assert said["scope"] == "https://www.googleapis.com/auth/devstorage.read_only"


def test_a_url_is_signed_as_google_auth_signs(account: dict[str, str]) -> None:
    service_account = pytest.importorskip("google.oauth2.service_account")
    theirs = service_account.Credentials.from_service_account_info(account)
    auth = signer("gs", {"service_account_key": account})
    url, _, signature = auth.signed_url("https://storage.googleapis.com/maps/a", 60).rpartition(
        "&X-Goog-Signature="
    )
    import hashlib

    query = url.partition("?")[2]
    date = query.partition("X-Goog-Date=")[2][:16]
    canonical = f"GET\n/maps/a\n{query}\nhost:storage.googleapis.com\n\nhost\nUNSIGNED-PAYLOAD"
    digest = hashlib.sha256(canonical.encode()).hexdigest()
    text = f"GOOG4-RSA-SHA256\n{date}\n{date[:8]}/auto/storage/goog4_request\n{digest}"
    assert signature == theirs.sign_bytes(text.encode()).hex()


# Signed URLs


@pytest.mark.parametrize(
    ("scheme", "auth", "complaint"),
    [
        ("gs", {"token": "open-sesame"}, "with a token"),
        ("az", {"token": "open-sesame"}, "with a token"),
        ("az", {"sas_token": "sig=open-sesame"}, "with a shared access signature"),
    ],
)
def test_what_cannot_sign_a_url_says_what_can(scheme: str, auth: Any, complaint: str) -> None:
    with pytest.raises(StoreError, match=complaint) as caught:
        signer(scheme, auth).signed_url("https://data.example/a", 60)
    assert "open-sesame" not in str(caught.value)


def test_no_repr_shows_a_secret() -> None:
    auth = signer("s3", KEY)
    assert repr(auth) == "<BucketSigner: s3://maps/>"
    assert repr(vars(auth)["_credential"]) == "<AccessKey>"
