"""The messages that errors of all object stores share."""

from runwright.artifacts.stores import missing, refused_key


def test_missing_buckets_and_objects():
    found = missing("bucket h/b", "k\n", "NoSuchKey")
    assert found is not None and found.message == 'bucket h/b has no object with the key "k?"'
    found = missing("bucket h/b", "k", "NoSuchBucket")
    assert found is not None and found.message == "bucket h/b does not exist"
    assert missing("bucket h/b", "k", "Odd") is None


def test_a_refusal_has_the_code_and_the_status():
    assert refused_key("bucket h/b", "k", "AccessDenied", "403").message.endswith('"k" (AccessDenied, HTTP 403)')
    assert refused_key("bucket h/b", "k", "", "").message.endswith('the key "k"')
