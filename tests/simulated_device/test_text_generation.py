"""Texts that are written on a device: the same as on the CPU, and nothing of them stays there."""

from functools import partial

import pytest

from nodes.builtin.model.text_encoders import clip_loader
from nodes.inference.text_generation import Writer
from nodes.models.families.base.language_models import language_model_of
from nodes.models.text.chunks import Token
from nodes.models.text.word_choice import Likeliest
from tests.nodes.bench import Bench
from tests.nodes.inference.test_text_generation import HEADED, MOST, headed
from tests.tiny_models.checkpoints import write
from tests.tiny_models.language_models import BYTES, SEEING, small_qwen3_5


def writer_in(bench: Bench) -> Writer:
    (encoder,) = clip_loader(HEADED, "lumina2", ctx=bench).text.encoders
    record = language_model_of(encoder.name)
    assert record
    return Writer(encoder, record)


def written(writer: Writer) -> list[int]:
    prompt = [Token(number) for number in writer.tokenizer.encode("a fox in snow")]
    return list(writer.tokens(prompt, Likeliest(), MOST))


@pytest.mark.parametrize(
    ("tensors", "metadata"),
    [(headed, BYTES), (partial(small_qwen3_5, head=True), SEEING)],
    ids=["qwen3", "qwen3_5"],
)
def test_a_text_is_that_of_the_cpu_and_leaves_nothing_behind(
    simulated, tmp_path, tensors, metadata
):
    write(tmp_path / "models/text_encoders" / HEADED, tensors(), metadata)
    simulated.switch(on=False)
    expected = written(writer_in(Bench(tmp_path)))
    simulated.switch(on=True)
    writer = writer_in(Bench(tmp_path))

    first = written(writer)
    before = simulated.live_bytes()
    again = written(writer)

    assert writer.encoder.network.placement.device.type == "simulated"
    assert first == again == expected
    assert simulated.live_bytes() == before
    head = writer.encoder.head
    assert head
    for network in (writer.encoder.network, head):
        network.resize(network.least_bytes)
    assert written(writer) == expected
    assert 0 < head.held_bytes < head.nbytes() / 8
