"""A run that only writes its files holds no slot."""

from tests.nodegraph.install_pack import install
from tests.server.serving import serving, until

STAGES = """
    import time
    from pathlib import Path

    from nodegraph.definition.context import Context
    from nodegraph.definition.node import node
    from nodegraph.graph.results import Ui


    @node("Compute", category="test")
    def compute(value: int = 1) -> int:
        return value


    @node("WriteSlowly", category="test", output_node=True, writes_only=True)
    def write_slowly(value: int, context: Context, until: str = "") -> Ui:
        while until and not Path(until).exists():
            time.sleep(0.01)
        return Ui(artifacts={"text": [context.files.save("output", "slow", ".txt", b"whole")]})
"""


def test_the_next_run_is_computed_and_written_while_one_writes(tmp_path):
    init = "from nodegraph.definition.pack import Pack\n"
    init += "PACK = Pack('writing', '1.0', ('writing_pack.stages',))\n"
    install(tmp_path / "packs", "writing", init=init, stages=STAGES)
    may_end = tmp_path / "may_end"

    def prompt(value, waits):
        write = {"value": ["1", 0], "until": str(may_end) if waits else ""}
        return {
            "1": {"class_type": "Compute", "inputs": {"value": value}},
            "2": {"class_type": "WriteSlowly", "inputs": write},
        }

    with serving(tmp_path, ["--slots", "1"], {"NODEGRAPH_PACKS": "writing"}) as server:
        slow = server.submit(prompt(1, waits=True))
        quick = server.finished(server.submit(prompt(2, waits=False)))
        meanwhile = server.get(f"/v1/runs/{slow}").json["status"]
        may_end.touch()
        ended = until(lambda: server.get(f"/history/{slow}").json.get(slow))

    assert quick["status"]["status_str"] == ended["status"]["status_str"] == "success"
    assert meanwhile == "running"
    names = [each["outputs"]["2"]["text"][0]["filename"] for each in (quick, ended)]
    assert names == ["slow_00001_.txt", "slow_00002_.txt"]
