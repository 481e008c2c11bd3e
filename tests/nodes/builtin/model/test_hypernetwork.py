"""Hypernetworks: keys and values as torch's own modules make them, and files that are refused."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from nodegraph.settings.settings import Settings
from nodes.builtin.model.hypernetwork import hypernetwork_loader
from nodes.models.families.adapters.hypernetwork import read_hypernetwork
from nodes.models.families.base.errors import UnrecognisedFileError
from nodes.models.loading.forward import denoise
from nodes.models.loading.handles import ModelHandle
from nodes.models.networks.base.errors import WrongNetworkError
from nodes.models.networks.modifiers.compiled import TorchCompile
from nodes.models.networks.modifiers.hypernetwork import Hypernetwork, HypernetworkFile
from nodes.models.patches.errors import ModelMismatchError
from nodes.models.weights.errors import PickleRefusedError
from nodes.models.weights.header import read_header
from nodes.models.weights.pickles import convert
from nodes.preflight.models import hypernetwork as preflight
from nodes.sampling.conditioning.run_memory import RunMemory
from nodes.values import CondBatch
from tests.nodes.bench import Bench
from tests.nodes.pictures import grid
from tests.nodes.reference import distance
from tests.tiny_models.checkpoints import write
from tests.tiny_models.samplable import samplable

pytestmark = pytest.mark.usefixtures("one_thread")
NAME = "a.safetensors"
WIDTHS = (32, 64)
"""Those of the small model's attention; its texts are 64 wide, too."""


@pytest.fixture(scope="module")
def kinds(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    return {name: samplable(folder, name) for name in ("sd15", "flux")}


@pytest.fixture
def bench(tmp_path):
    return Bench(tmp_path)


class Kind(NamedTuple):
    """A hypernetwork as its trainer sets it up."""

    structure: Sequence[int] = (1, 2, 1)
    """The widths of the layers, as multiples of what they change."""
    function: str | None = "relu"
    module: type[nn.Module] = nn.ReLU
    activates_output: bool = False
    norm: bool = False
    dropout: bool = False


KINDS = {
    "none": Kind(function=None, module=nn.Identity),
    "relu": Kind(),
    "norm": Kind((1, 2, 2, 1), "swish", nn.Hardswish, norm=True, dropout=True),
    "output": Kind(function="tanh", module=nn.Tanh, activates_output=True, dropout=True),
}


PLAIN = Kind(function="linear", module=nn.Identity)


def modules(kind: Kind, widths: Sequence[int] = WIDTHS, seed: int = 5) -> dict[int, list[Any]]:
    """For each width the modules of keys and of values, with large weights."""
    torch.manual_seed(seed)
    return {width: [_module(kind, width).eval() for _ in range(2)] for width in widths}


def _module(kind: Kind, width: int) -> nn.Sequential:
    parts: list[nn.Module] = []
    steps = list(zip(kind.structure, kind.structure[1:], strict=False))
    for number, (before, after) in enumerate(steps):
        parts.append(nn.Linear(width * before, width * after))
        is_last = number == len(steps) - 1
        if kind.module is not nn.Identity and (kind.activates_output or not is_last):
            parts.append(kind.module())
        if kind.norm:
            parts.append(nn.LayerNorm(width * after))
        if kind.dropout and not is_last:
            parts.append(nn.Dropout(0.3))
    return nn.Sequential(*parts)


def pickled(path: Path, kind: Kind, made: Mapping[int, list[Any]], **settings: object) -> Path:
    """Write what the web UI writes."""
    states = {
        width: tuple(
            {f"linear.{key}": value for key, value in part.state_dict().items()} for part in pair
        )
        for width, pair in made.items()
    }
    held = {
        **states,
        "step": 2000,
        "name": "a",
        "layer_structure": list(kind.structure),
        "activation_func": kind.function,
        "is_layer_norm": kind.norm,
        "weight_initialization": "Normal",
        "use_dropout": kind.dropout,
        "activate_output": kind.activates_output,
        "last_layer_dropout": False,
        "dropout_structure": [0, 0.3, 0],
        "sd_checkpoint": "0123abcd",
        **settings,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(held, path)
    return path


def saved(bench: Bench, kind: Kind, made: Mapping[int, list[Any]], name: str = NAME) -> str:
    """Convert what the web UI writes, into the model folder."""
    old = pickled(bench.root / "old" / f"{name}.pt", kind, made)
    convert(old, folder(bench) / name)
    return name


def folder(bench: Bench) -> Path:
    return bench.root / "models" / "hypernetworks"


@dataclass(frozen=True, slots=True, eq=False)
class Reference:
    """Changes what attentions read by torch's own modules, before the layers see it."""

    made: Mapping[int, list[Any]]
    strength: float

    def alter(self, network: nn.Module) -> None:
        for name, attention in network.named_modules():
            if name.endswith((".attn1", ".attn2")):
                for part, layer in enumerate((attention.to_k, attention.to_v)):
                    self._hook(part, layer)

    def _hook(self, part: int, layer: Any) -> None:
        def change(_: nn.Module, args: tuple[Tensor]) -> Tensor:
            (x,) = args
            return x + self.made[x.shape[-1]][part](x) * self.strength

        layer.register_forward_pre_hook(change)


def predicted(kind: Any, model: ModelHandle, rows: int = 1, memory: RunMemory | None = None):
    tokens = torch.cat([kind.text(0.3 + 0.2 * row).conds[0].tokens for row in range(rows)])
    x = torch.cat([grid((1, 4, 8, 8), 0.7 + row) for row in range(rows)])
    return denoise(model, x, torch.full((rows,), 2.0), CondBatch(tokens), memory)


@pytest.mark.parametrize("name", KINDS)
def test_keys_and_values_are_those_of_torch_modules(kinds, bench, name):
    kind, made = kinds["sd15"], modules(KINDS[name])
    model = hypernetwork_loader(kind.model, saved(bench, KINDS[name], made), bench, 0.7)

    found = predicted(kind, model)

    expected = predicted(kind, kind.model.with_alteration(Reference(made, 0.7)))
    assert distance(found, expected) < 1e-5
    assert distance(found, predicted(kind, kind.model)) > 1e-3
    assert not bench.notices


def test_several_change_what_those_before_them_made(kinds, bench):
    kind, relu = kinds["sd15"], KINDS["relu"]
    first, second = modules(relu), modules(relu, seed=6)
    names = [saved(bench, relu, first), saved(bench, relu, second, "b.safetensors")]
    model = hypernetwork_loader(kind.model, names[0], bench, 2.0)
    model = hypernetwork_loader(model, names[1], bench, -1.5)

    found = predicted(kind, model)

    expected = kind.model
    for made, strength in ((first, 2.0), (second, -1.5)):
        expected = expected.with_alteration(Reference(made, strength))
    assert distance(found, predicted(kind, expected)) < 1e-5


def test_strength_0_is_the_model_itself_and_equal_ones_share_a_network(kinds, bench):
    kind, name = kinds["sd15"], saved(bench, KINDS["relu"], modules(KINDS["relu"]))
    one, other = (hypernetwork_loader(kind.model, name, bench, 0.5) for _ in range(2))

    assert hypernetwork_loader(kind.model, "none.safetensors", bench, 0.0) is kind.model
    assert (one, hash(one.alterations)) == (other, hash(other.alterations))
    assert one != hypernetwork_loader(kind.model, name, bench, 0.6)


def test_rows_of_a_batch_are_changed_each_for_itself(kinds, bench):
    kind, name = kinds["sd15"], saved(bench, KINDS["norm"], modules(KINDS["norm"]))
    model = hypernetwork_loader(kind.model, name, bench)

    both = predicted(kind, model, rows=2)

    assert distance(both[:1], predicted(kind, model)) < 1e-5
    assert distance(both[1:], both[:1]) > 1e-2


def test_a_run_converts_the_weights_once(kinds, bench):
    kind, made = kinds["sd15"], modules(KINDS["relu"])
    halves = {width: [part.half() for part in pair] for width, pair in made.items()}
    model = hypernetwork_loader(kind.model, saved(bench, KINDS["relu"], halves), bench)
    memory, plain = RunMemory(most=1 << 24), RunMemory(most=1 << 24)
    predicted(kind, model, memory=memory)
    predicted(kind, kind.model, memory=plain)

    count = sum(p.numel() for pair in made.values() for part in pair for p in part.parameters())
    assert plain.room - memory.room == 4 * count


def test_it_computes_in_the_precision_of_the_model(kinds, bench):
    kind, name = kinds["sd15"], saved(bench, KINDS["norm"], modules(KINDS["norm"]))
    model = hypernetwork_loader(kind.model, name, bench)

    narrow = predicted(kind, replace(model, compute=torch.bfloat16))

    assert 0 < distance(narrow, predicted(kind, model)) < 0.1


@pytest.mark.slow
def test_it_stays_in_compiled_blocks(kinds, bench):
    kind, name = kinds["sd15"], saved(bench, KINDS["norm"], modules(KINDS["norm"]))
    model = hypernetwork_loader(kind.model, name, bench)

    found = predicted(
        kind, model.with_alteration(TorchCompile("eager", ("BasicTransformerBlock",)))
    )

    assert distance(found, predicted(kind, model)) < 1e-5


def test_the_oldest_files_have_two_layers_by_other_names(kinds, bench):
    kind, made = kinds["sd15"], modules(PLAIN)
    tensors = load_file(folder(bench) / saved(bench, PLAIN, made))
    renamed = {
        key.replace("linear.0.", "linear1.").replace("linear.1.", "linear2."): value
        for key, value in tensors.items()
    }
    write(folder(bench) / "old.safetensors", renamed)

    found = predicted(kind, hypernetwork_loader(kind.model, "old.safetensors", bench))

    expected = predicted(kind, kind.model.with_alteration(Reference(made, 1.0)))
    assert distance(found, expected) < 1e-5


def test_a_pickle_is_refused_unless_it_is_allowed(kinds, bench):
    kind, made = kinds["sd15"], modules(KINDS["output"])
    pickled(folder(bench) / "old.pt", KINDS["output"], made)
    refusing = Settings(models_dir=(bench.root / "models",), cache_dir=bench.root / "cache")
    allowing = replace(refusing, allow_pickle=True)
    given = {"hypernetwork_name": "old.pt"}

    with pytest.raises(PickleRefusedError, match="--allow-pickle"):
        preflight(given, refusing.files())
    files = replace(allowing.files(), watch=bench)
    preflight(given, files)

    assert bench.notices == ["old.pt is a pickle: its tensors are read, and nothing in it is run."]
    file = HypernetworkFile(files.model("hypernetworks", "old.pt"), "sha256")
    found = predicted(kind, kind.model.with_alteration(Hypernetwork(file, 1.0)))
    expected = predicted(kind, kind.model.with_alteration(Reference(made, 1.0)))
    assert distance(found, expected) < 1e-5


def test_widths_that_the_model_lacks_are_told_and_none_at_all_is_an_error(kinds, bench):
    kind, relu = kinds["sd15"], KINDS["relu"]
    some = saved(bench, relu, modules(relu, (32, 64, 96)), "some.safetensors")
    none = saved(bench, relu, modules(relu, (96, 128)), "none.safetensors")

    hypernetwork_loader(kind.model, some, bench)
    with pytest.raises(ModelMismatchError, match=r"'none\.safetensors' does not fit") as error:
        hypernetwork_loader(kind.model, none, bench)

    assert bench.notices == [
        "Hypernetwork some.safetensors: the model's attention has no width 96."
    ]
    assert error.value.code == "hypernetwork_mismatch"


def test_it_is_for_u_nets(kinds, bench):
    name = saved(bench, KINDS["relu"], modules(KINDS["relu"]))

    with pytest.raises(WrongNetworkError, match="HypernetworkLoader is for a U-Net"):
        hypernetwork_loader(kinds["flux"].model, name, bench)


WEIGHT, BIAS = "32.0.linear.0.weight", "32.0.linear.0.bias"
LAST = "32.0.linear.2.weight"
BROKEN: Mapping[str, tuple[Mapping[str, tuple[int, ...] | None], str]] = {
    "another file": ({"lora_down.weight": (4, 4)}, "lora_down.weight"),
    "no values": ({f"32.1.linear.{n}.{k}": None for n in (0, 2) for k in ("weight", "bias")}, "32"),
    "another width": ({WEIGHT: (64, 33)}, "does not take 32 numbers"),
    "layers that do not follow": ({LAST: (32, 63)}, "does not take 64 numbers"),
    "no way back": ({LAST: (31, 64), "32.0.linear.2.bias": (31,)}, "give 31 numbers"),
    "a bias of another size": ({BIAS: (63,)}, "does not take"),
    "a bias alone": ({WEIGHT: None}, "of shape"),
    "a convolution": ({WEIGHT: (64, 32, 1)}, "does not take"),
}


@pytest.mark.parametrize("what", BROKEN)
def test_a_file_that_is_none_is_refused(bench, what):
    changes, told = BROKEN[what]
    tensors = load_file(folder(bench) / saved(bench, KINDS["relu"], modules(KINDS["relu"], (32,))))
    for key, shape in changes.items():
        tensors.pop(key, None)
        if shape is not None:
            tensors[key] = torch.zeros(shape)
    path = write(folder(bench) / "broken.safetensors", tensors)

    with pytest.raises(UnrecognisedFileError, match=told) as error:
        preflight({"hypernetwork_name": path.name}, bench.files)

    assert error.value.code == "not_a_hypernetwork"


def test_an_activation_that_is_not_known_is_named(bench):
    kind = KINDS["relu"]._replace(function="GLU")
    name = saved(bench, kind, modules(kind))

    with pytest.raises(UnrecognisedFileError, match="with the activation 'glu'"):
        read_hypernetwork(read_header(folder(bench) / name))


def test_an_output_is_activated_where_the_file_does_not_say(bench):
    kind = KINDS["relu"]
    tensors = load_file(folder(bench) / saved(bench, kind, modules(kind)))
    path = write(folder(bench) / "b.safetensors", tensors, {"activation_func": "relu"})

    layers = read_hypernetwork(read_header(path)).by_width[32][0]

    assert [layer.activates for layer in layers] == [True, True]
