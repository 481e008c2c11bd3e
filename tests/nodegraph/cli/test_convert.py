"""`nodegraph convert`, and workflows in the editor format wherever a workflow is taken."""

import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from tests.nodegraph.drawn import INFO, drawn, item

STEPS = item(1, "Steps", outputs="STRING", values=[3, 5, "randomize", 0.0], title="Work")
WRITE = item(2, "Write", "text:STRING=1", outputs="", values=["", "drawn"])
LINKS = [[1, 1, 0, 2, 0, "STRING"]]
PROMPT = {
    "1": {
        "class_type": "Steps",
        "inputs": {"steps": 3, "seed": 5, "pause": 0.0},
        "_meta": {"title": "Work"},
    },
    "2": {
        "class_type": "Write",
        "inputs": {"filename_prefix": "drawn", "text": ["1", 0]},
        "_meta": {"title": "Write"},
    },
}
SHOW = item(3, "Show", properties={"cnr_id": "show-pack", "ver": "1.2.3"})


@pytest.fixture
def save(here):
    """Write a workflow in the editor format."""

    def write(*nodes, links=LINKS, **more):
        path = here / "drawn.json"
        path.write_text(json.dumps(drawn(*nodes, links=links, **more)))
        return path

    return write


def test_writes_the_api_format(invoke, save, here):
    done = invoke("convert", save(STEPS, WRITE), "-o", "api.json")

    assert done.exit_code == 0
    assert done.stdout == "api.json: 2 nodes\n"
    assert json.loads((here / "api.json").read_text()) == PROMPT


def test_writes_to_stdout_and_reads_stdin(invoke, save):
    text = save(STEPS, WRITE).read_bytes()
    done = invoke("convert", "-", "-o", "-", input=text)

    assert json.loads(done.stdout) == PROMPT


def test_what_it_writes_it_reads(invoke, save, here):
    invoke("convert", save(STEPS, WRITE), "-o", "api.json")
    done = invoke("convert", "api.json", "-o", "again.json")

    assert done.exit_code == 0
    assert (here / "again.json").read_text() == (here / "api.json").read_text()


def test_types_that_nothing_describes_are_named_with_what_has_them(invoke, save, here):
    other = item(4, "Scribble", values=[1], properties={"aux_id": "someone/scribbles"})
    show = SHOW | {"widgets_values": ["x"]}
    done = invoke("convert", save(STEPS, show, other), "-o", "api.json")

    assert done.exit_code == 2
    lines = done.stderr.splitlines()
    assert lines[0] == "error: 2 packs are missing."
    assert lines[1].endswith(
        "(1.2.3) has Show (node 3): https://registry.comfy.org/nodes/show-pack"
    )
    assert "Scribble (node 4): git clone https://github.com/someone/scribbles /" in lines[2]
    assert not (here / "api.json").exists()


def test_a_type_that_nothing_describes_is_read_by_the_names_in_the_file(invoke, save, here):
    other = item(4, "Scribble", "text:STRING!", values=["hello"])
    done = invoke("convert", save(STEPS, other), "-o", "api.json")

    assert done.exit_code == 0
    assert "warning: no pack has the node type 'Scribble'; it is read by the names" in done.stderr
    assert json.loads((here / "api.json").read_text())["4"]["inputs"] == {"text": "hello"}


def test_of_several_descriptions_the_first_that_has_a_type_counts(invoke, save, here):
    others = {
        f"Other{name}": {**facts, "name": f"Other{name}"} for name, facts in described().items()
    }
    (here / "others.json").write_text(json.dumps(others))
    (here / "info.json").write_text(json.dumps(described()))
    wrong = {name: {**facts, "input": {}, "input_order": {}} for name, facts in described().items()}
    (here / "wrong.json").write_text(json.dumps(wrong))
    places = [("--object-info", f"{name}.json") for name in ("others", "info", "wrong")]

    done = invoke("convert", save(LOAD), "-o", "-", *[text for pair in places for text in pair])

    assert json.loads(done.stdout)["7"]["inputs"] == {"image": "b.png"}


def test_another_servers_description_is_read_from_a_file(invoke, save, here):
    (here / "info.json").write_text(json.dumps(described()))
    done = invoke("convert", save(LOAD), "-o", "-", "--object-info", "info.json")

    assert json.loads(done.stdout)["7"]["inputs"] == {"image": "b.png"}


def test_another_servers_description_is_fetched(invoke, save, server):
    done = invoke("convert", save(LOAD), "-o", "-", "--object-info", server)

    assert json.loads(done.stdout)["7"]["inputs"] == {"image": "b.png"}


def test_an_answer_without_end_is_not_read_to_its_end(invoke, save, server, monkeypatch):
    monkeypatch.setattr("nodegraph.cli.server_types.MOST_BYTES", 100)
    done = invoke("convert", save(LOAD), "-o", "-", "--object-info", server)

    assert done.exit_code == 2
    assert "the answer has more than" in done.stderr


@pytest.mark.parametrize("place", ["file:///etc/hosts", "ftp://127.0.0.1/x", "nowhere.json"])
def test_other_places_are_files_that_are_not_there(invoke, save, place):
    done = invoke("convert", save(LOAD), "-o", "-", "--object-info", place)

    assert done.exit_code == 2
    assert "unknown_file" in done.stderr


def test_a_file_that_can_not_be_written_is_an_error(invoke, save):
    done = invoke("convert", save(STEPS, WRITE), "-o", "no/such/folder.json")

    assert done.exit_code == 2
    assert "output_not_writable" in done.stderr


def test_run_takes_the_editor_format(invoke, save, here):
    done = invoke("run", save(STEPS, WRITE), "--set", "Work.seed=9")

    assert done.exit_code == 0, done.stderr
    (path,) = (here / "output").glob("drawn*")
    assert path.read_text() == "9"


def test_validate_takes_the_editor_format_and_says_what_provides_what_lacks(invoke, save):
    done = invoke("validate", save(STEPS, WRITE, SHOW))

    assert done.exit_code == 2
    assert "pack show-pack (1.2.3) has Show (node 3): https://registry.comfy.org" in done.stderr


def test_validate_tells_a_problem_of_many_nodes_once(invoke, save):
    keys = (11, 12, 13)
    odd = [STEPS | {"id": key, "widgets_values": ["x", 5, "fixed", 0.0]} for key in keys]
    out = [
        item(key + 10, "Write", f"text:STRING={key}", outputs="", values=["", "w"]) for key in keys
    ]
    links = [[key, key, 0, key + 10, 0, "STRING"] for key in keys]

    done = invoke("validate", save(*odd, *out, links=links))

    assert done.stderr.count("not 'x'.") == 1
    assert "error: node '11' (Work) and 2 more: Input 'steps' takes INT, not 'x'." in done.stderr


def test_validate_tells_comfyuis_own_types_in_one_line_and_where_to_search_for_others(invoke, save):
    own = {"cnr_id": "comfy-core", "ver": "0.33.0"}
    newer = [item(20 + k, f"Newer{k}", properties=own) for k in range(8)]

    done = invoke("validate", save(STEPS, WRITE, *newer, item(40, "NobodyHasThis")))

    lines = done.stderr.splitlines()
    assert lines[0] == "error: 1 node type and 8 newer nodes are missing."
    assert "no known pack has it. Search for it on https://registry.comfy.org." in lines[1]
    names = ", ".join(f"Newer{k}" for k in range(8))
    assert lines[2] == f"  ComfyUI's own, which nodegraph can't run yet: {names}"


def test_validate_tells_in_json_what_is_missing(invoke, save):
    done = invoke("validate", save(STEPS, WRITE, SHOW), "--json")

    answer = json.loads(done.stdout)
    assert answer["missing"]["summary"] == "1 pack is missing."
    assert answer["missing"]["packs"][0]["node_types"][0]["nodes"] == ["3"]
    assert [problem["code"] for problem in answer["problems"]] == ["unknown_node_type"]


def test_broken_files_say_where(invoke, save):
    done = invoke("run", save(WRITE | {"widgets_values": 5}))

    assert done.exit_code == 2
    assert "node '2': Widgets_values is a list, not 5." in done.stderr


@pytest.mark.parametrize("command", [("run",), ("validate",), ("convert", "-o", "-")])
def test_a_link_that_leads_nowhere_is_a_warning(command, invoke, save):
    done = invoke(*command, save(WRITE, links=[]))

    assert done.exit_code == 0
    assert "warning: Node '2': its input 'text' has a link that leads nowhere." in done.stderr


LOAD = item(7, "Load", values=["b.png", "image"])


def described():
    more = {"output_is_list": [False, False], "display_name": "Load", "category": "test"}
    return {"Load": INFO["Load"] | more | {"name": "Load"}}


@pytest.fixture
def server():
    """A server that describes its node types."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            body = json.dumps(described()).encode()
            self.send_response(200 if self.path == "/object_info" else 404)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object):
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as http:
        thread = threading.Thread(target=http.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{http.server_address[1]}"
        http.shutdown()
        thread.join()


def test_nodes_for_paid_services_are_read_though_they_run_nowhere_here(invoke, save):
    colour = item(4, "RecraftColorRGB", widgets_values=[255, 128, 0])
    done = invoke("convert", save(STEPS, WRITE, colour), "-o", "-")

    assert json.loads(done.stdout)["4"]["inputs"] == {"r": 255, "g": 128, "b": 0}
