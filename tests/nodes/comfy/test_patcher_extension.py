"""Functions of packs around the steps of sampling: `comfy.patcher_extension`."""

from nodes.comfy.host_modules import host_module

EXTENSION = host_module("comfy.patcher_extension")
APPLY = EXTENSION.WrappersMP.APPLY_MODEL


def test_wrappers_in_options_are_found_by_kind_and_key():
    options = {}
    EXTENSION.add_wrapper_with_key(APPLY, "a", min, options, is_model_options=True)
    EXTENSION.add_wrapper(APPLY, max, options, is_model_options=True)
    inside = options["transformer_options"]

    assert EXTENSION.get_all_wrappers(APPLY, inside) == [min, max]
    assert EXTENSION.get_wrappers_with_key(APPLY, "a", options, is_model_options=True) == [min]
    assert EXTENSION.get_all_wrappers("predict_noise", inside) == []


def test_nested_options_are_merged_list_by_list_into_a_copy():
    first, second = {"a": {"k": [1]}, "b": 1}, {"a": {"k": [2], "l": [3]}, "b": 2}

    merged = EXTENSION.merge_nested_dicts(first, second)

    assert merged == {"a": {"k": [1, 2], "l": [3]}, "b": 2}
    assert first == {"a": {"k": [1]}, "b": 1}


def test_a_wrapper_may_leave_out_what_is_inside_of_it():
    def twice(executor, x):
        return executor(x) * 2

    def none(executor, x):
        return f"{executor.class_obj}{x}"

    execute = EXTENSION.WrapperExecutor.new_class_executor

    assert execute(abs, None, [twice, twice]).execute(-3) == 12
    assert execute(abs, "of ", [none, twice]).execute(-3) == "of -3"
