"""The model files that a graph reads, with their sizes."""

from nodegraph.files.files import Files
from nodegraph.files.folders import Folders
from nodegraph.packs.registry import Registry
from nodegraph.validation.model_needs import model_needs
from nodegraph.workflow.read import read_prompt


def node(kind, **inputs):
    return {"class_type": kind, "inputs": inputs}


def test_each_file_that_is_here_is_named_once_by_its_path(tmp_path):
    checkpoint = tmp_path / "models/checkpoints/a.safetensors"
    lora = tmp_path / "models/loras/style/b.safetensors"
    for path, size in ((checkpoint, 300), (lora, 20)):
        path.parent.mkdir(parents=True)
        path.write_bytes(bytes(size))
    folder = tmp_path / "models/diffusers/whole"
    (folder / "unet").mkdir(parents=True)
    (folder / "unet/model.safetensors").write_bytes(bytes(50))
    (folder / "model_index.json").write_text("{}")
    graph = read_prompt(
        {
            "1": node("CheckpointLoaderSimple", ckpt_name="a.safetensors"),
            "2": node("CheckpointLoaderSimple", ckpt_name="a.safetensors"),
            "3": node("LoraLoaderModelOnly", model=["1", 0], lora_name="style/b.safetensors"),
            "4": node("VAELoader", vae_name="absent.safetensors"),
            "5": node("DiffusersLoader", model_path="whole"),
            "6": node("Unknown", name="a.safetensors"),
            "7": node("UNETLoader", unet_name=["1", 0]),
        }
    )
    registry = Registry.load(["nodes"])
    places = (tmp_path / "input", tmp_path / "output", tmp_path / "temp")
    files = Files(Folders((tmp_path / "models",), *places, registry.model_places))

    found = model_needs(graph, registry.catalog, files)

    assert found == {str(checkpoint): 300, str(lora): 20, str(folder): 52}
