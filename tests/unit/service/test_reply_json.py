"""The JSON of a reply in pieces, compared with that of protobuf's library."""

from __future__ import annotations

import json
import tracemalloc
from typing import Any

import pytest
from google.protobuf.json_format import ParseDict
from google.protobuf.message import Message
from hypothesis import given, settings
from hypothesis import strategies as st

from runwright.service import reply_json
from runwright.service.bindings import Binding, bindings, reply_class
from runwright.service.contract.experiment_pb2 import Experiment, ListExperimentsResponse
from runwright.service.contract.run_pb2 import ListRunsResponse, ReadArtifactResponse, Run, RunDetail
from runwright.service.reply_json import json_pieces, message_json
from tests.unit.service.gateway import filled


def decoded(message: Message) -> Any:
    return json.loads(b"".join(json_pieces(message)))


texts = st.text(st.characters(codec="utf-8"), max_size=20)


@st.composite
def run_messages(draw: st.DrawFn) -> Run:
    run = Run(id=draw(texts), name=draw(texts), description=draw(texts), status=draw(texts), error=draw(texts))
    run.pipeline_spec.workflow_manifest = draw(texts) * draw(st.integers(1, 30))
    for _ in range(draw(st.integers(0, 3))):
        run.pipeline_spec.parameters.add(name=draw(texts), value=draw(texts))
        run.metrics.add(name=draw(texts), number_value=draw(st.floats(allow_nan=False)))
        run.resource_references.add(name=draw(texts)).key.id = draw(texts)
    run.created_at.seconds = draw(st.integers(0, 2**31))
    return run


@pytest.fixture
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("PIECE", 16), ("TEXT", 5), ("BYTES", 6)):
        monkeypatch.setattr(reply_json, name, value)


@settings(max_examples=100, deadline=None)
@given(st.lists(run_messages(), max_size=4), texts, st.binary(max_size=40))
def test_the_pieces_are_the_json_of_the_message(runs: list[Run], token: str, data: bytes):
    with pytest.MonkeyPatch.context() as patch:
        for name, value in (("PIECE", 16), ("TEXT", 5), ("BYTES", 6)):
            patch.setattr(reply_json, name, value)
        for message in (
            ListRunsResponse(runs=runs, total_size=len(runs), next_page_token=token),
            ReadArtifactResponse(data=data),
            *(RunDetail(run=run) for run in runs),
        ):
            assert decoded(message) == message_json(message)


@pytest.mark.usefixtures("small_pieces")
@pytest.mark.parametrize("one", bindings(), ids=lambda one: one.method)
def test_every_reply_of_the_contract_is_encoded(one: Binding):
    for message in (
        reply_class(one.descriptor)(),
        ParseDict(filled(one.descriptor.output_type), reply_class(one.descriptor)()),
    ):
        assert decoded(message) == message_json(message)


def test_a_piece_is_small_and_nothing_is_copied_whole():
    mib = 1024 * 1024
    runs = [Run(id=str(number)) for number in range(4)]
    for run in runs:
        run.pipeline_spec.workflow_manifest = '{"a": "\x01😀"}\n' * (mib // 16)
    described = ListExperimentsResponse(experiments=[Experiment(description="d" * 4096) for _ in range(200)])
    for message in (ListRunsResponse(runs=runs), described, ReadArtifactResponse(data=bytes(range(256)) * 16 * 1024)):
        tracemalloc.start()
        sizes = [len(piece) for piece in json_pieces(message)]
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert sum(sizes) > 800_000 and max(sizes) < 256 * 1024
        assert peak < 6 * mib, "the text or the bytes of one field, and a few pieces"
