"""Texts that are written on a device: the same as on the CPU, and nothing of them stays there."""

from nodes.builtin.model.text_encoders import clip_loader
from nodes.inference.text_generation import Writer
from nodes.models.families.base.language_models import language_model_of
from nodes.models.text.chunks import Token
from nodes.models.text.word_choice import Likeliest
from tests.nodes.bench import Bench
from tests.nodes.inference.test_text_generation import HEADED, MOST, headed
from tests.tiny_models.checkpoints import write
from tests.tiny_models.language_models import BYTES


def writer_in(bench: Bench) -> Writer:
    (encoder,) = clip_loader(HEADED, "lumina2", ctx=bench).text.encoders
    record = language_model_of(encoder.name)
    assert record
    return Writer(encoder, record)


def written(writer: Writer) -> list[int]:
    prompt = [Token(number) for number in writer.tokenizer.encode("a fox in snow")]
    return list(writer.tokens(prompt, Likeliest(), MOST))


def test_a_text_is_that_of_the_cpu_and_leaves_nothing_behind(simulated, tmp_path):
    write(tmp_path / "models/text_encoders" / HEADED, headed(), BYTES)
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
    writer.encoder.network.resize(writer.encoder.network.least_bytes)
    assert written(writer) == expected
