"""Defaults < `nodegraph.toml` < the environment < flags, and clear words for mistakes."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from operator import attrgetter
from pathlib import Path
from typing import Annotated, Literal, get_args

import pytest

from nodegraph.cache.limit import device_limit_bytes
from nodegraph.errors import SettingsError
from nodegraph.settings.layers import from_environment, from_file, nest, types_of
from nodegraph.settings.server import ServerSettings
from nodegraph.settings.settings import Settings

PATHS = [
    prefix + item.name
    for prefix, settings in (("", Settings), ("server.", ServerSettings))
    for item in fields(settings)
    if Path in (item.type, *get_args(item.type))
]
"""Every setting that is a path, or a path or None, or paths."""


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    """An empty working directory, and no settings of the person who runs the tests."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path


def read(environment=None, **flags):
    return Settings.read(flags, environment or {})


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_folders_beside_the_user_come_before_their_data_folder(here):
    (here / "input").mkdir()
    settings = read()

    assert settings.input_dir == Path("input")
    assert settings.output_dir == here / "data/nodegraph/output"
    assert settings.models_dir == (here / "data/nodegraph/models",)
    assert settings.temp_dir == here / "cache/nodegraph/temp"


def test_a_table_inside_of_a_table_has_settings_of_its_own(here):
    write(
        here / "nodegraph.toml", '[server.ray]\nworkers = 2\naddress = "file"\n[server]\nport = 7'
    )
    environment = {"NODEGRAPH_SERVER_RAY_ADDRESS": "variable", "NODEGRAPH_SERVER_PORT": "8"}
    settings = read(environment, server={"workers": "ray"}).server

    assert (settings.ray.workers, settings.ray.address) == (2, "variable")
    assert (settings.workers, settings.port) == ("ray", 8)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[server.ray]\naddres = 1", "unknown setting 'server.ray.addres'"),
        ("[server.ray]\nworkers = 0", "the setting 'server.ray.workers'"),
        ("[server]\nray = 3", "'server.ray' in nodegraph.toml has to be a table"),
    ],
)
def test_a_mistake_in_an_inner_table_is_told(here, text, told):
    write(here / "nodegraph.toml", text)

    with pytest.raises(SettingsError, match=told):
        read()


def test_each_source_overrules_the_one_before(here):
    write(here / "nodegraph.toml", 'input_dir = "file"\noutput_dir = "file"\ncache_dir = "file"')
    environment = {"NODEGRAPH_OUTPUT_DIR": "variable", "NODEGRAPH_CACHE_DIR": "variable"}
    settings = read(environment, cache_dir=Path("flag"), input_dir=None, models_dir=())

    assert settings.input_dir == Path("file")
    assert settings.output_dir == Path("variable")
    assert settings.cache_dir == Path("flag")
    assert settings.temp_dir == Path("flag/temp")


def test_paths_in_the_file_are_relative_to_it(here):
    text = """
        models_dir = ["models", "/big/models"]
        output_dir = "~/pictures"
        input_dir = "in"
        [extra_model_paths]
        loras = "more"
        unet = ["a", "b"]
    """
    write(here / "conf/nodegraph.toml", text)
    settings = read({"NODEGRAPH_CONFIG": str(here / "conf/nodegraph.toml")})

    assert settings.models_dir == (here / "conf/models", Path("/big/models"))
    assert settings.output_dir == Path.home() / "pictures"
    assert settings.input_dir == here / "conf/in"
    places = settings.files().folders.more_models
    assert places["loras"] == (here / "conf/more",)
    assert places["diffusion_models"] == (here / "conf/a", here / "conf/b")


@pytest.mark.parametrize("key", PATHS)
def test_every_path_is_expanded_and_relative_to_its_file(here, key):
    table, _, name = key.rpartition(".")
    file = here / "conf/nodegraph.toml"
    write(file, (f"[{table}]\n" if table else "") + f'{name} = "x"')
    variable = f"NODEGRAPH_{key.replace('.', '_').upper()}"
    set_in_file = attrgetter(key)(read({"NODEGRAPH_CONFIG": str(file)}))
    set_by_variable = attrgetter(key)(read({variable: "~/x"}))
    set_by_text, set_by_path = (
        attrgetter(key)(Settings.read(nest({key: value}), {}, flags_checked=True))
        for value in ("~/x", Path("~/x"))
    )

    assert set_in_file in (file.parent / "x", (file.parent / "x",))
    assert set_by_variable in (Path.home() / "x", (Path.home() / "x",))
    assert set_by_text == set_by_path == set_by_variable


def test_a_home_of_nobody_is_a_mistake(here):
    write(here / "nodegraph.toml", 'input_dir = "~nobody-of-that-name/x"')

    with pytest.raises(SettingsError, match="somebody who is not known"):
        read()


def test_several_paths_of_a_flag_are_expanded(here):
    assert read(models_dir=("~/x", Path("y"))).models_dir == (Path.home() / "x", Path("y"))


@dataclass
class NewTable:
    door: Path | None = None
    names: tuple[str, ...] | None = None


@dataclass
class NewSettings:
    roof: Annotated[Path, "of tiles"] = Path()
    walls: tuple[Path, ...] = ()
    limit: int | Literal["auto"] = "auto"
    levels: Mapping[str, Literal["high", "low"]] = field(default_factory=dict)
    server: NewTable = field(default_factory=NewTable)


def test_a_new_setting_is_read_by_its_type(here):
    types = types_of(NewSettings)
    variables = {
        "NODEGRAPH_ROOF": "~/r",
        "NODEGRAPH_WALLS": "~/a:b",
        "NODEGRAPH_LIMIT": "auto",
        "NODEGRAPH_LEVELS": "a=high, low",
        "NODEGRAPH_SERVER_DOOR": "d",
        "NODEGRAPH_SERVER_NAMES": "a, b",
    }
    write(here / "c/n.toml", 'roof = "~/r"\nwalls = ["a"]\n[server]\ndoor = "d"\nnames = ["a"]')
    file = from_file({"NODEGRAPH_CONFIG": str(here / "c/n.toml")}, types)

    assert from_environment(variables, types).values == {
        "roof": Path.home() / "r",
        "walls": (Path.home() / "a", Path("b")),
        "limit": "auto",
        "levels": {"a": "high", "all": "low"},
        "server.door": Path("d"),
        "server.names": ("a", "b"),
    }
    assert file.values == {
        "roof": Path.home() / "r",
        "walls": (here / "c/a",),
        "server.door": here / "c/d",
        "server.names": ["a"],
    }


@pytest.mark.parametrize("environment", [{}, {"NODEGRAPH_CONFIG": "nodegraph.toml"}])
def test_a_folder_in_place_of_the_file_is_refused(here, environment):
    (here / "nodegraph.toml").mkdir()

    with pytest.raises(SettingsError, match=r"nodegraph.toml is a folder.*NODEGRAPH_CONFIG"):
        read(environment)


def test_one_folder_need_not_be_a_list(here):
    write(here / "nodegraph.toml", 'models_dir = "here"')

    assert read().models_dir == (Path("here"),)


def test_the_environment_separates_folders_as_path_does():
    settings = read({"NODEGRAPH_MODELS_DIR": "/a:/b", "NODEGRAPH_PACKS": "nodes, mine"})

    assert settings.models_dir == (Path("/a"), Path("/b"))
    assert settings.packs == ("nodes", "mine")


@pytest.mark.parametrize(
    ("text", "environment", "message"),
    [
        ('ouput_dir = "x"', {}, r"'ouput_dir' in nodegraph.toml. Did you mean 'output_dir'"),
        ("", {"NODEGRAPH_OUTPUTDIR": "x"}, r"'NODEGRAPH_OUTPUTDIR' in the environment.*output_dir"),
        ("output_dir = 3", {}, r"'output_dir' in nodegraph.toml: input is not a valid path"),
        ("models_dir = [1]", {}, r"'models_dir.0' in nodegraph.toml"),
        ("extra_model_paths = 1", {}, r"'extra_model_paths' in nodegraph.toml"),
        ("output_dir", {}, r"nodegraph.toml cannot be read"),
        ("", {"NODEGRAPH_CONFIG": "gone.toml"}, r"gone.toml cannot be read"),
        (
            "result_cache = '4G'",
            {},
            r"'result_cache' in nodegraph.toml: '4G' is no size.*4GiB, or auto",
        ),
        ("result_cache = -1", {}, r"'result_cache' in nodegraph.toml: '-1' is no size"),
        ("result_cache = true", {}, r"'result_cache' in nodegraph.toml: 'True' is no size"),
        ("", {"NODEGRAPH_RESULT_CACHE": "1e9"}, r"'result_cache' in the environment: '1e9' is no"),
        ("[server]\nprot = 1", {}, r"'server.prot' in nodegraph.toml. Did you mean 'server.port'"),
        ("", {"NODEGRAPH_SERVER_PROT": "1"}, r"'NODEGRAPH_SERVER_PROT' in the env.*server.port"),
        ("[server]\nport = 70000", {}, r"'server.port' in nodegraph.toml: input should be less"),
        ("", {"NODEGRAPH_SERVER_SLOTS": "0"}, r"'server.slots' in the environment"),
        ("pack_patience = 0", {}, r"'pack_patience' in nodegraph.toml: input should be g"),
        ("server = 1", {}, r"'server' in nodegraph.toml has to be a table"),
        ("[server.log_levels]\nall = 'loud'", {}, r"'server.log_levels.all' in nodegraph.toml"),
    ],
)
def test_a_mistake_is_named_with_where_it_stands(here, text, environment, message):
    write(here / "nodegraph.toml", text)

    with pytest.raises(SettingsError, match=message):
        read(environment)


def test_a_mistake_is_one_though_something_else_overrules_it(here):
    write(here / "nodegraph.toml", '[server]\nport = "high"')

    with pytest.raises(SettingsError, match=r"'server\.port' in nodegraph\.toml"):
        Settings.read({"server": {"port": 1}}, {}, flags_checked=True)
    with pytest.raises(SettingsError, match=r"'server\.port' in nodegraph\.toml"):
        read({"NODEGRAPH_SERVER_PORT": "2"})


def test_a_file_that_nests_without_end_is_told(here):
    write(here / "nodegraph.toml", "x = " + "[" * 20_000)

    with pytest.raises(SettingsError, match=r"nodegraph\.toml cannot be read"):
        read()


def test_reads_comfyui_s_extra_model_paths(here):
    text = """
        comfyui:
            base_path: ComfyUI/
            is_default: true
            checkpoints: models/checkpoints/
            clip: |
                models/text_encoders/
                /big/clip/
            custom_nodes: custom_nodes
        a1111:
            loras: $HOME/loras
        empty:
    """
    write(here / "extra.yaml", text)
    write(here / "nodegraph.toml", 'extra_model_paths_file = "extra.yaml"')
    pack = {"checkpoints": (here / "pack",)}
    places = read().files(pack).folders.more_models

    assert places["checkpoints"] == (Path("ComfyUI/models/checkpoints"), here / "pack")
    assert places["text_encoders"] == (Path("ComfyUI/models/text_encoders"), Path("/big/clip"))
    assert places["loras"] == (Path.home() / "loras",)
    assert "custom_nodes" not in places


@pytest.mark.parametrize(
    "text", ["- a list", "a: [", "a: " + "[" * 9_000, "!!python/object:os.system {}"]
)
def test_refuses_a_file_that_is_no_extra_model_paths(here, text):
    write(here / "extra.yaml", text)

    with pytest.raises(SettingsError, match=r"extra\.yaml"):
        read({"NODEGRAPH_EXTRA_MODEL_PATHS_FILE": "extra.yaml"}).files()


def test_the_server_s_settings_come_from_everywhere_too(here):
    text = """
        preview_method = "none"
        [server]
        port = 1
        slots = 2
        data_dir = "queue"
        devices = ["cpu"]
        log_levels = { "server.store" = "debug" }
    """
    write(here / "conf/nodegraph.toml", text)
    environment = {
        "NODEGRAPH_CONFIG": str(here / "conf/nodegraph.toml"),
        "NODEGRAPH_SERVER_PORT": "2",
        "NODEGRAPH_SERVER_SLOTS": "3",
        "NODEGRAPH_SERVER_ALLOW_HOSTS": "a.example, b.example",
    }
    settings = read(environment, server={"port": 4, "slots": None, "devices": ()})

    assert settings.preview_method == "none"
    server = settings.server
    assert (server.port, server.slots, server.devices) == (4, 3, ("cpu",))
    assert server.data_dir == here / "conf/queue"
    assert server.allow_hosts == ("a.example", "b.example")
    assert server.log_levels == {"server.store": "debug"}


def test_the_environment_names_rooms_and_levels():
    settings = read({"NODEGRAPH_SERVER_LOG_LEVELS": "warning,server.store=debug"})

    assert settings.server.log_levels == {"all": "warning", "server.store": "debug"}


def test_the_token_is_not_shown():
    assert "secret" not in repr(read({"NODEGRAPH_SERVER_TOKEN": "secret"}))


@pytest.mark.parametrize("name", ["device_result_cache", "memory_budget", "memory_reserve"])
@pytest.mark.parametrize(
    ("given", "limit"),
    [(0, 0), ("2GiB", 2 << 30), ("10%", "10%"), (" 12.5 % ", "12.5 %"), ("auto", "auto")],
)
def test_the_size_on_a_device_may_be_a_share(here, name, given, limit):
    assert getattr(read(**{name: given}), name) == limit
    assert getattr(read({f"NODEGRAPH_{name.upper()}": str(given)}), name) == limit


@pytest.mark.parametrize("given", ["101%", "-1%", "ten", "1e3", True])
def test_what_is_neither_size_nor_share_is_refused(here, given):
    with pytest.raises(SettingsError, match=r"no size.*4GiB, or auto, or a share such as 10%"):
        read(device_result_cache=given)


def test_a_share_is_of_the_device(here):
    limits = [device_limit_bytes(limit, 1000) for limit in ("auto", "25%", "12.5 %", 70)]

    assert limits == [100, 250, 125, 70]


@pytest.mark.parametrize(
    ("given", "limit"),
    [
        *((0, 0), (5000, 5000), ("5000", 5000), ("12 B", 12), ("1.5 GiB", 3 << 29)),
        *(("4GiB", 4 << 30), ("2tib", 2 << 40), ("500 MB", 500_000_000), ("auto", "auto")),
    ],
)
def test_a_size_is_bytes_or_has_a_unit(here, given, limit):
    assert read(result_cache=given).result_cache == limit
    assert read({"NODEGRAPH_RESULT_CACHE": str(given)}).result_cache == limit
    write(here / "nodegraph.toml", f"result_cache = {given!r}")
    assert read().result_cache == limit
