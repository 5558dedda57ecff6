"""The key that signs page tokens: shared by all replicas through a Secret, which the first of them creates."""

from __future__ import annotations

import base64
import binascii
import secrets

from runwright.kube.client import Client
from runwright.kube.edit import get_or_create
from runwright.kube.errors import ApiError
from runwright.kube.objects import Json, Key, as_mapping, as_text
from runwright.kube.resource import SECRETS

KEY_BYTES = 32


async def load_page_key(client: Client, secret: str) -> bytes:
    """Load the key from the Secret NAMESPACE/NAME, and create it where it does not exist; a random key for no Secret.

    Raises ValueError for another form of name, and ApiError where the Secret cannot be used: a replica with a key of its
    own would refuse the tokens of the others.
    """
    new = secrets.token_bytes(KEY_BYTES)
    if not secret:
        return new
    namespace, _, name = secret.partition("/")
    if not namespace or not name:
        raise ValueError(f"--page-key-secret {secret!r}: expected NAMESPACE/NAME")
    body = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name, "namespace": namespace},
        "data": {"key": base64.b64encode(new).decode()},
    }
    return _key_in(await get_or_create(client, SECRETS, body), Key(namespace, name))


def _key_in(secret: Json, name: Key) -> bytes:
    try:
        key = base64.b64decode(as_text(as_mapping(secret.get("data")).get("key")))
    except binascii.Error:
        key = b""
    if len(key) < KEY_BYTES:
        raise ApiError(0, "Invalid", f"Secret {name}: expected {KEY_BYTES} random bytes under `key`; delete the Secret")
    return key
