"""Lists of objects are parsed within bounds."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runwright.artifacts.listing import (
    AZURE_LISTING,
    MAX_PAGE_OBJECTS,
    S3_LISTING,
    ListingError,
    ObjectPage,
    parse_listing,
)

S3 = b"""<?xml version="1.0"?><ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Prefix>d/</Prefix>
<Contents><Key>d/a&amp;b</Key><Size>1</Size><Owner><ID>x</ID></Owner></Contents><Contents><Key>d/c</Key><Size>0</Size></Contents>
<NextContinuationToken>more</NextContinuationToken></ListBucketResult>"""
AZURE = b"""\xef\xbb\xbf<?xml version="1.0" encoding="utf-8"?><EnumerationResults><Blobs><Blob><Name>d/a</Name>
<Properties><Content-Length>3</Content-Length></Properties></Blob></Blobs><NextMarker/></EnumerationResults>"""
BOMB = (
    b'<!DOCTYPE x [<!ENTITY a "ha">'
    + b"".join(b'<!ENTITY a%d "&a;&a;">' % n for n in range(30))
    + b"]><ListBucketResult/>"
)


def test_lists_of_s3_and_azure():
    assert parse_listing(S3, S3_LISTING) == ObjectPage([("d/a&b", 1), ("d/c", 0)], "more")
    assert parse_listing(AZURE, AZURE_LISTING) == ObjectPage([("d/a", 3)])


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"no xml",
        b"<html/>",
        S3[:-5],
        BOMB,
        b"<ListBucketResult>" + b"<a>" * 100_000,
        b"<ListBucketResult><Contents><Key>a</Key></Contents></ListBucketResult>",
        b"<ListBucketResult><Contents><Key>a</Key><Size>-1</Size></Contents></ListBucketResult>",
        b"<ListBucketResult><Contents><Size>1</Size></Contents></ListBucketResult>",
        b"<ListBucketResult>"
        + b"<Contents><Key>a</Key><Size>1</Size></Contents>" * (MAX_PAGE_OBJECTS + 1)
        + b"</ListBucketResult>",
    ],
)
def test_other_replies_are_refused(data: bytes):
    with pytest.raises(ListingError, match="expected"):
        parse_listing(data, S3_LISTING)


@given(st.binary())
def test_any_reply_is_a_list_or_an_error(data: bytes):
    with contextlib.suppress(ListingError):
        parse_listing(data, S3_LISTING)
