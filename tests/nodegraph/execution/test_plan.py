"""The plan: order, what is left out, and when results are let go."""

from nodegraph.execution.plan import Plan
from nodegraph.graph.graph import Link
from tests.toys import chain_of, graph_of


class Rehearsal:
    """Obeys a plan without computing anything: `at_hand` grows and shrinks as results do."""

    def __init__(self, graph, *targets, at_hand=(), lazy=()):
        reads = {node.id: node.sources for node in graph.nodes.values()}
        needs = {node_id: [s for s in reads[node_id] if s not in lazy] for node_id in reads}
        self.at_hand = set(at_hand)
        self.plan = Plan(reads.__getitem__, needs.__getitem__, self.at_hand.__contains__)
        self.plan.require(targets)

    def run(self, asks=None):
        """What runs, and what is freed after each; `asks` maps nodes to what they put off for."""
        asks = dict(asks or {})
        ran = []
        for node_id in self.plan:
            if node_id in asks:
                self.plan.put_off(node_id, asks.pop(node_id))
                continue
            self.at_hand.add(node_id)
            freed = self.plan.finish(node_id)
            self.at_hand.difference_update(freed)
            ran.append((node_id, freed))
        return ran


def run(graph, *targets, **more):
    return Rehearsal(graph, *targets, **more).run()


def diamond():
    r"""   x
          / \
         y   |
          \ /
           z
    """
    return graph_of(
        x=("One", {}),
        y=("Add", {"a": Link("x", 0)}),
        z=("Add", {"a": Link("x", 0), "b": Link("y", 0)}),
    )


def test_each_result_is_freed_after_its_last_reader():
    assert run(diamond(), "z") == [("x", []), ("y", []), ("z", ["x", "y"])]


def test_a_target_is_kept_though_others_read_it():
    assert run(diamond(), "x", "z") == [("x", []), ("y", []), ("z", ["y"])]


def test_what_no_target_needs_is_left_out():
    assert run(diamond(), "y") == [("x", []), ("y", ["x"])]


def test_the_ancestors_of_what_is_at_hand_are_left_out():
    assert run(chain_of(5), "4", at_hand={"2"}) == [("3", ["2"]), ("4", ["3"])]
    assert run(chain_of(5), "4", at_hand={"4"}) == []


def test_a_node_that_is_put_off_comes_again_after_what_it_waits_for():
    rehearsal = Rehearsal(diamond(), "z", lazy={"y"})

    ran = rehearsal.run(asks={"z": ["y"]})

    assert ran == [("x", []), ("y", []), ("z", ["x", "y"])]


def test_a_lazy_input_that_nobody_asks_for_does_not_run():
    assert [node_id for node_id, _ in run(diamond(), "z", lazy={"y"})] == ["x", "z"]


def test_what_is_needed_sooner_runs_once():
    graph = graph_of(
        a=("One", {}),
        b=("Add", {"a": Link("a", 0)}),
        c=("Add", {"a": Link("b", 0)}),
        d=("Add", {"a": Link("c", 0), "b": Link("lazy", 0)}),
        lazy=("Add", {"a": Link("last", 0)}),
        last=("Add", {"a": Link("a", 0)}),
        e=("Add", {"a": Link("d", 0), "b": Link("last", 0)}),
    )

    ran = Rehearsal(graph, "e", lazy={"lazy"}).run(asks={"d": ["lazy"]})

    assert [node_id for node_id, _ in ran] == ["a", "b", "c", "last", "lazy", "d", "e"]
    assert sorted(done for _, freed in ran for done in freed) == [*"abcd", "last", "lazy"]


def test_upcoming_is_what_is_still_to_run():
    plan = Rehearsal(chain_of(4), "3").plan

    assert plan.upcoming() == ["0", "1", "2", "3"]
    plan.finish(next(iter(plan)))
    assert plan.upcoming() == ["1", "2", "3"]


def test_a_chain_of_ten_thousand_needs_no_recursion():
    assert len(run(chain_of(10_000), "9999")) == 10_000
