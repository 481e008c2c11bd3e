"""Workflows in the editor format, in a few lines, and node types to read them with."""

from nodegraph.workflow.editor.shapes import shape_of


def entry(*outputs, **inputs):
    """An `/object_info` entry: inputs by name, `"IMAGE"` or `["INT", {…}]`."""
    declared = {name: [kind] if isinstance(kind, str) else kind for name, kind in inputs.items()}
    return {"input": {"required": declared}, "output": list(outputs), "output_name": list(outputs)}


INFO = {
    "Load": entry("IMAGE", "MASK", image=[["a.png", "b.png"], {"image_upload": True}]),
    "Sample": entry(
        "IMAGE",
        image="IMAGE",
        seed=["INT", {"default": 7}],
        steps=["INT", {"default": 20}],
        scale=["FLOAT", {"default": 0.5}],
    ),
    "Blend": entry("IMAGE", one="IMAGE", other="IMAGE", mask="MASK"),
    "Text": entry("STRING", text=["STRING", {"multiline": True, "dynamicPrompts": True}]),
    "Number": entry("INT", value=["INT", {}]),
    "Show": entry(images="IMAGE"),
    "Save": entry(filename_prefix=["STRING", {"default": "ComfyUI"}]),
}


def shapes(name):
    return shape_of(name, INFO[name]) if name in INFO else None


def drawn(*nodes, links=(), **more):
    """A workflow of nodes and links (`[id, from, output, to, input, type]`)."""
    return {"nodes": list(nodes), "links": list(links), "version": 0.4, **more}


def item(node_id, type_name, *inputs, outputs="IMAGE", values=(), **more):
    """A node; an input is `name:TYPE`, `name:TYPE=link`, or `name:TYPE!` for a widget's."""
    return {
        "id": node_id,
        "type": type_name,
        "mode": 0,
        "inputs": [_slot(text) for text in inputs],
        "outputs": [{"name": kind, "type": kind} for kind in outputs.split()],
        "widgets_values": list(values),
        **more,
    }


def subgraph(key, *nodes, inputs=(), outputs=(), links=()):
    """A subgraph; its links are `[id, from, output, to, input]`, and become objects."""
    keys = ("id", "origin_id", "origin_slot", "target_id", "target_slot")
    return {
        "id": key,
        "name": key,
        "nodes": list(nodes),
        "inputs": [_slot(text) for text in inputs],
        "outputs": [_slot(text) for text in outputs],
        "links": [dict(zip(keys, link, strict=True)) | {"type": "*"} for link in links],
    }


def _slot(text):
    name, _, rest = text.partition(":")
    kind, _, link = rest.partition("=")
    slot = {"name": name, "type": kind.rstrip("!"), "link": int(link) if link else None}
    return slot | {"widget": {"name": name}} if kind.endswith("!") else slot
