"""Workflows inside of other JSON, in half-broken pictures, and in what is no workflow at all."""

import json

import pytest

from nodegraph.errors import InvalidWorkflowError
from nodegraph.workflow.read import read_any, read_workflow
from tests.nodegraph.drawn import drawn, item, shapes
from tests.nodegraph.workflow.test_embedded import png

PROMPT = {"1": {"class_type": "Number", "inputs": {"value": 1}}}
DRAWN = drawn(item(2, "Number", values=[5]))


@pytest.mark.parametrize(
    ("value", "node"),
    [
        ({"input": {"workflow": PROMPT, "images": []}}, "1"),
        ({"input": {"request_id": "x", "workflow_json": PROMPT}}, "1"),
        ({"workflow": DRAWN, "output": PROMPT}, "1"),
        ({"prompt": json.dumps(PROMPT)}, "1"),
        ({"prompt": json.dumps(DRAWN)}, "2"),
        ({"input": json.dumps({"workflow": PROMPT})}, "1"),
        ({"input": {"workflow": DRAWN}}, "2"),
        ({"workflow": DRAWN}, "2"),
        (json.dumps(PROMPT), "1"),
        (json.dumps(DRAWN), "2"),
        ({"input": PROMPT["1"]}, "input"),
    ],
)
def test_a_workflow_is_found_in_what_is_around_it(value, node):
    assert list(read_any(value, shapes).nodes) == [node]
    assert list(read_workflow(json.dumps(value).encode(), shapes).nodes) == [node]


def test_the_drawing_beside_the_graph_is_kept():
    submitted = {"prompt": PROMPT, "extra_data": {"extra_pnginfo": {"workflow": DRAWN}}}

    for value in ({"workflow": DRAWN, "output": PROMPT}, submitted):
        assert read_any(value, shapes).editor == DRAWN


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"prompt": "a red circle"}, "'prompt': a node is an object, not 'a red circle'"),
        ("a red circle", "this is JSON, but no workflow: 'a red circle'"),
        ({"nodes": {"1": {"type": "Number"}}, "links": []}, "nodes is a list, not"),
        ({"input": {"input": {"input": {"input": {"input": PROMPT}}}}}, "'input': the node has no"),
    ],
)
def test_what_holds_no_workflow_is_refused(value, message):
    with pytest.raises(InvalidWorkflowError, match=message):
        read_any(value, shapes)


@pytest.mark.parametrize("broken", ['{"nodes": [', "undefined", "null", "", "[]"])
def test_a_broken_workflow_beside_a_good_prompt_does_not_matter(broken):
    graph = read_workflow(png(prompt=json.dumps(PROMPT), workflow=broken), shapes)

    assert list(graph.nodes) == ["1"]
    assert graph.editor is None


@pytest.mark.parametrize("broken", ["", "NaN", "null", "undefined", "{}", '{"1": 5}'])
def test_a_good_workflow_beside_a_broken_prompt_is_read_and_told(broken):
    graph = read_workflow(png(prompt=broken, workflow=json.dumps(DRAWN)), shapes)

    assert graph.nodes["2"].inputs == {"value": 5}
    assert [remark.code for remark in graph.remarks] == ["mended_file"]
    assert "Its 'workflow' is read instead." in str(graph.remarks[0])


@pytest.mark.parametrize("texts", [{"prompt": "NaN"}, {"workflow": "NaN"}, {"prompt": "{}"}])
def test_a_picture_with_nothing_but_a_broken_half_is_refused(texts):
    with pytest.raises(InvalidWorkflowError):
        read_workflow(png(**texts), shapes)


def test_text_chunks_in_utf_8_and_in_latin_1_are_read():
    words = "ein größerer roter Kreis 🔴"
    prompt = {"1": {"class_type": "String-🔬", "inputs": {"text": words}}}

    def with_chunk(text):
        return png(lambda info: info.add(b"tEXt", b"prompt\0" + text))

    graph = read_workflow(with_chunk(json.dumps(prompt, ensure_ascii=False).encode()))
    older = read_workflow(with_chunk(json.dumps(PROMPT | {"ß": PROMPT["1"]}).encode("latin-1")))
    latin = with_chunk('{"1": {"class_type": "größer"}}'.encode("latin-1"))

    assert graph.nodes["1"].type_name == "String-🔬"
    assert graph.nodes["1"].inputs == {"text": words}
    assert list(older.nodes) == ["1", "ß"]
    assert read_workflow(latin).nodes["1"].type_name == "größer"


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"\n\n<!DOCTYPE html>\n<html></html>", "is a web page .*GitHub has it behind 'Raw'"),
        (b"\xef\xbb\xbf<HTML lang='en'>", "is a web page"),
        (b"  \n", "is empty"),
        ('{"1": "ä"}'.encode("latin-1"), "not in UTF-8: it has the byte 0xe4. Save it as UTF-8"),
        (b"\xff\x00\x01", "is binary"),
    ],
)
def test_what_is_no_json_is_told_by_what_it_is(data, message, tmp_path):
    path = tmp_path / "w.json"
    path.write_bytes(data)

    for source in (path, data):
        with pytest.raises(InvalidWorkflowError, match=message):
            read_workflow(source, shapes)
