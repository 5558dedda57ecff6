"""The key that signs page tokens: shared by all replicas through a Secret, into which the first of them writes it."""

from __future__ import annotations

import base64
import binascii
import secrets

from runwright.kube.client import Client
from runwright.kube.edit import edit_until_accepted
from runwright.kube.errors import ApiError
from runwright.kube.names import is_namespace_name, is_object_name
from runwright.kube.objects import Json, Key, as_mapping, as_text, uid_of, version_of
from runwright.kube.resource import SECRETS

KEY_BYTES = 32
FIELD = "key"


async def load_page_key(client: Client, secret: str) -> bytes:
    """Load the key from the Secret NAMESPACE/NAME, and write it into an empty one; a random key for no Secret.

    The Secret must exist: RBAC cannot limit the right to create Secrets to one name, so the service does not have it.
    Raises ValueError for another form of name, and ApiError where the Secret cannot be used: a replica with a key of its
    own would refuse the tokens of the others.
    """
    new = secrets.token_bytes(KEY_BYTES)
    if not secret:
        return new
    namespace, _, name = secret.partition("/")
    if not is_namespace_name(namespace) or not is_object_name(name):
        raise ValueError(f"--page-key-secret {secret!r}: expected NAMESPACE/NAME")
    key = Key(namespace, name)

    async def read() -> Json:
        if (found := await client.get(SECRETS, key)) is None:
            raise ApiError(
                404, "NotFound", f"there is no Secret {key} for the key of page tokens: create it, without data"
            )
        return found

    async def fill(found: Json) -> Json:
        if as_text(as_mapping(found.get("data")).get(FIELD)):
            return found
        metadata = {"uid": uid_of(found), "resourceVersion": version_of(found)}
        patch = {"metadata": metadata, "data": {FIELD: base64.b64encode(new).decode()}}
        filled = await client.patch(SECRETS, key, patch)
        return await read() if filled is None else filled

    return _key_in(await edit_until_accepted(read, fill), key)


def _key_in(secret: Json, name: Key) -> bytes:
    try:
        key = base64.b64decode(as_text(as_mapping(secret.get("data")).get(FIELD)))
    except binascii.Error:
        key = b""
    if len(key) < KEY_BYTES:
        raise ApiError(
            0, "Invalid", f"Secret {name}: expected {KEY_BYTES} random bytes under `{FIELD}`; remove that field"
        )
    return key
