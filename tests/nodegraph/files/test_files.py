"""Names to paths: what is found, what is refused, what is said."""

import pytest

from nodegraph.errors import UnknownFileError, UnsafePathError
from nodegraph.files.files import Files
from nodegraph.files.folders import Folders
from nodegraph.graph.results import Artifact

HOSTILE = [
    "../secret.png",
    "a/../../secret.png",
    "..\\secret.png",
    "/etc/passwd",
    "C:\\secret.png",
    "\\\\server\\secret.png",
    "secret\0.png",
    "secret\n.png",
    "\ud800.png",
    "x" * 300,
    "a/" * 600,
    "",
    ".",
]


@pytest.fixture
def files(tmp_path):
    for name in ("input", "output/day", "temp"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "secret.png").touch()
    return Files(Folders.under(tmp_path))


def place(files, folder, *names):
    for name in names:
        path = files.folders.models[0] / folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


@pytest.mark.parametrize("name", HOSTILE, ids=ascii)
def test_refuses_a_name_that_leads_out_of_its_folder(files, name):
    for look in (files.input, lambda name: files.model("checkpoints", name)):
        with pytest.raises(UnsafePathError):
            look(name)
    with pytest.raises(UnsafePathError):
        files.path(Artifact(name, "../output", "output"))


@pytest.mark.parametrize("name", [name for name in HOSTILE if len(name) > 1], ids=ascii)
def test_refuses_to_save_under_such_a_name(files, name, tmp_path):
    before = sorted(tmp_path.rglob("*"))

    with pytest.raises(UnsafePathError):
        files.save("output", name, ".png", b"")

    assert sorted(tmp_path.rglob("*")) == before


def test_refuses_a_link_out_of_the_input_and_output_folders(files, tmp_path):
    (files.folders.input / "link.png").symlink_to(tmp_path / "secret.png")
    (files.folders.output / "away").symlink_to(tmp_path)

    with pytest.raises(UnsafePathError, match="symbolic link"):
        files.input("link.png")
    with pytest.raises(UnsafePathError, match="symbolic link"):
        files.save("output", "away/stolen", ".png", b"")


def test_refuses_links_without_an_end(files):
    loop = files.folders.input / "loop.png"
    loop.symlink_to(loop)

    with pytest.raises((UnsafePathError, UnknownFileError)):
        files.input("loop.png")


def test_follows_a_link_among_the_models(files, tmp_path):
    place(files, "checkpoints", "here.safetensors")
    (tmp_path / "elsewhere.safetensors").touch()
    link = files.folders.models[0] / "checkpoints/linked.safetensors"
    link.symlink_to(tmp_path / "elsewhere.safetensors")

    assert files.model("checkpoints", "linked.safetensors") == link


def test_lists_weights_however_deep_and_nothing_else(files):
    place(files, "checkpoints", "b.ckpt", "sub/deep/a.SAFETENSORS", "notes.txt", ".hidden/c.pt")

    assert files.model_names("checkpoints") == ["b.ckpt", "sub/deep/a.SAFETENSORS"]
    with pytest.raises(UnknownFileError):
        files.model("checkpoints", "notes.txt")


def test_a_link_to_a_folder_above_does_not_list_for_ever(files):
    place(files, "loras", "a.safetensors")
    (files.folders.models[0] / "loras/again").symlink_to(files.folders.models[0] / "loras")

    assert files.model_names("loras") == ["a.safetensors"]


def test_reads_the_folders_that_comfyui_reads(files):
    place(files, "unet", "old.safetensors")
    place(files, "diffusion_models", "new.safetensors")
    place(files, "clip", "text.safetensors")
    place(files, "diffusers/sd/unet", "weights.safetensors")
    place(files, "diffusers", "sd/model_index.json")

    assert files.model_names("diffusion_models") == ["new.safetensors", "old.safetensors"]
    assert files.model_names("unet") == files.model_names("diffusion_models")
    assert files.model_names("text_encoders") == ["text.safetensors"]
    assert files.model_names("diffusers") == ["sd"]
    assert files.model("diffusers", "sd").is_dir()


def test_takes_a_name_written_on_windows(files):
    place(files, "checkpoints", "sub/a.safetensors")

    assert files.model("checkpoints", "sub\\a.safetensors").name == "a.safetensors"


def test_the_first_folder_that_has_a_file_wins(tmp_path):
    first, second, pack = tmp_path / "first", tmp_path / "second", tmp_path / "pack"
    for root in (first, second):
        (root / "loras").mkdir(parents=True)
        (root / "loras/both.safetensors").touch()
    (second / "loras/only.safetensors").touch()
    pack.mkdir()
    for name in ("demo.safetensors", "both.safetensors"):
        (pack / name).touch()
    more = {"loras": (pack / "demo.safetensors", pack)}
    files = Files(Folders((first, second), tmp_path, tmp_path, tmp_path, more))

    assert files.model("loras", "both.safetensors").is_relative_to(first)
    assert files.model("loras", "only.safetensors").is_relative_to(second)
    assert files.model("loras", "demo.safetensors").parent == pack
    assert files.model_names("loras") == [
        "both.safetensors",
        "demo.safetensors",
        "only.safetensors",
    ]


def test_says_which_file_was_meant(files):
    place(files, "checkpoints", "sd_xl_turbo_1.0.safetensors")

    with pytest.raises(UnknownFileError, match=r"Did you mean 'sd_xl_turbo_1.0.safetensors'"):
        files.model("checkpoints", "sdxl_turbo.safetensors")
    with pytest.raises(UnknownFileError, match="There are no files yet"):
        files.input("cat.png")


def test_says_which_files_there_are_when_none_is_near(files):
    (files.folders.input / "cat.png").touch()

    with pytest.raises(UnknownFileError, match=r"There are: cat.png\."):
        files.input("12345678")


def test_lists_the_files_of_the_input_folder_itself(files):
    for name in ("b.png", "a.PNG", "c.latent", ".hidden.png"):
        (files.folders.input / name).touch()
    (files.folders.input / "below").mkdir()

    assert files.input_names((".png",)) == ["a.PNG", "b.png"]
    assert files.input_names() == ["a.PNG", "b.png", "c.latent"]


def test_lists_the_files_of_the_output_folder_as_they_are_named_for_input(files):
    for name in ("b.png", "c.latent"):
        (files.folders.output / name).touch()

    (name,) = files.input_names((".png",), "output")

    assert name == "b.png [output]"
    assert files.input(name) == files.folders.output / "b.png"


def test_an_annotation_says_which_folder_an_input_is_in(files):
    (files.folders.output / "day/a.png").touch()
    (files.folders.input / "odd [name].png").touch()

    assert files.input("day/a.png [output]") == files.folders.output / "day/a.png"
    assert files.input("odd [name].png").name == "odd [name].png"
    with pytest.raises(UnknownFileError, match="the temp folder"):
        files.input("a.png [temp]")


def test_an_artifact_says_where_it_lies(files):
    artifact = files.save("output", "day/cat", ".png", b"data")

    assert artifact == Artifact("cat_00001_.png", "day", "output")
    assert files.path(artifact).read_bytes() == b"data"
    assert files.save("temp", "cat", ".png", b"").subfolder == ""


def test_lists_no_broken_link_among_the_models(files, tmp_path):
    folder = tmp_path / "models/checkpoints"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "gone.safetensors").symlink_to(folder / "nowhere.safetensors")
    (folder / "loop.safetensors").symlink_to(folder / "loop.safetensors")

    assert files.model_names("checkpoints") == []


def test_files_that_save_elsewhere_read_the_same(files, tmp_path):
    files.save("output", "checkpoints/mine", ".safetensors", b"weights")
    (name,) = [name for name in files.model_names("checkpoints") if "mine" in name]
    elsewhere = files.saving_in(tmp_path / "scratch")

    saved = elsewhere.save("output", "checkpoints/mine", ".safetensors", b"others")

    assert elsewhere.model("checkpoints", name).read_bytes() == b"weights"
    assert elsewhere.path(saved).parent == tmp_path / "scratch/output/checkpoints"
    assert files.root("input") == elsewhere.root("input")
