"""The Python packages that packs lack are told at once, with the command that installs them."""

import sys

import pytest

from nodegraph.errors import PackError
from nodegraph.packs.catalog import PackSource, describe_apart, read_catalog
from nodegraph.packs.environment.advice import advice_for
from nodegraph.packs.environment.imports import missing_imports
from nodegraph.packs.environment.requirements import (
    installed_versions,
    pip_lines,
    read_requirements,
)
from nodegraph.packs.installed import problem_lines
from tests.nodegraph.install_pack import install


@pytest.fixture
def site(tmp_path, monkeypatch):
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(folder)
    return folder


def written(folder, name, text, encoding="utf-8"):
    (folder / name).write_text(text, encoding=encoding)
    return folder


def wanted(folder):
    return [str(each.requirement) for each in read_requirements(folder)]


def test_all_missing_packages_are_told_at_once(site):
    package = install(
        site,
        "demo",
        init="""
            import cv2_that_nobody_has
            from . import more
        """,
        more="""
            import git_that_nobody_has.inner, json
            try:
                import optional_that_nobody_has
            except ImportError:
                pass

            def later():
                import late_that_nobody_has
        """,
    )
    written(
        package, "requirements.txt", "numpy\ncv2-that-nobody-has>=2\nextra_that_nobody_has==1\n"
    )

    with pytest.raises(PackError) as told:
        describe_apart(PackSource("demo", "demo_pack"))

    assert told.value.message == (
        "the pack 'demo' imports Python packages that are not installed: cv2_that_nobody_has, "
        f"git_that_nobody_has ({package}/__init__.py:2). Its requirements.txt names, besides: "
        "extra_that_nobody_has."
    )
    assert told.value.hint == (
        f"Install them: {sys.executable} -m pip install 'cv2-that-nobody-has>=2' "
        "extra_that_nobody_has==1"
    )


def test_the_import_that_a_pack_swallowed_is_told(site):
    package = install(
        site,
        "demo",
        init="""
            try:
                import onnxruntime_that_nobody_has
            except ImportError:
                print("failed to load its nodes")
            PACK = NODES
        """,
    )

    with pytest.raises(PackError) as told:
        describe_apart(PackSource("demo", "demo_pack"))

    assert "NameError: name 'NODES' is not defined. It imports" in told.value.message
    assert f"onnxruntime_that_nobody_has ({package}/__init__.py:3)" in told.value.message
    assert told.value.details["printed"] == "failed to load its nodes"


def test_what_a_pack_printed_is_told_where_no_package_is_missing(site):
    install(site, "demo", init="print('no model here'); 1 / 0")

    with pytest.raises(PackError, match=r"division by zero\. It printed: 'no model here'\. Mend"):
        describe_apart(PackSource("demo", "demo_pack"))


def test_a_pack_that_went_on_without_a_package_is_described_anew_once_it_is_there(site, tmp_path):
    install(
        site,
        "demo",
        init="""
            from nodegraph.definition.pack import Pack
            try:
                import comes_later
                version = "2"
            except ImportError:
                version = "1"
            PACK = Pack("demo", version, ())
        """,
    )
    source = PackSource("demo", "demo_pack")

    before = read_catalog(source, tmp_path)
    (site / "comes_later.py").write_text("")

    assert (before.version, before.without) == ("1", ("comes_later",))
    assert read_catalog(source, tmp_path).version == "2"


def test_requirements_are_read_as_pip_does(tmp_path):
    (tmp_path / "more.txt").write_text("pillow\n")
    (tmp_path.parent / "outside.txt").write_text("secret\n")
    text = """
        kornia >= 0.7 # a remark
        -r more.txt
        -r ../outside.txt
        --extra-index-url https://example.org
        git+https://github.com/somebody/something
        thing @ https://example.org/thing.whl
        transformers[torch]==4.9; python_version < "3"
        open_clip_torch \\
            >=2.24
        KORNIA<2
        numpy<<1
    """
    written(tmp_path, "requirements.txt", text.replace("\n        ", "\r\n"), "utf-16")
    written(tmp_path, "pyproject.toml", '[project]\ndependencies = ["einops==0.8", 3]\n')

    assert wanted(tmp_path) == ["kornia>=0.7", "pillow", "open_clip_torch>=2.24", "einops==0.8"]


@pytest.mark.parametrize("text", ["[project", "project = 3", "[project]\ndependencies = 3"])
def test_a_damaged_project_file_names_nothing(tmp_path, text):
    assert wanted(written(tmp_path, "pyproject.toml", text)) == []
    assert wanted(tmp_path / "not there") == []


def test_files_that_include_each_other_are_read_once(tmp_path):
    written(tmp_path, "requirements.txt", "-r b.txt\neinops\n")
    written(tmp_path, "b.txt", "-r requirements.txt\n-r ./b.txt\nlark\n")

    assert wanted(tmp_path) == ["lark", "einops"]


def test_packages_that_replace_each_other_meet_a_requirement(tmp_path):
    written(tmp_path, "requirements.txt", "opencv-python\nnumpy<2\nonnxruntime-gpu\n")
    versions = {"opencv-contrib-python-headless": "5.0", "numpy": "2.4.6"}

    advice = advice_for(tmp_path, {"PIL": "x.py:1"}, versions)
    own = advice_for(tmp_path, {"PIL": "x.py:1"}, versions, "/env/bin/python")

    assert [str(each) for each in advice.unmet] == [
        "numpy<2 (2.4.6 is installed)",
        "onnxruntime-gpu",
    ]
    assert advice.commands == [f"{sys.executable} -m pip install pillow onnxruntime-gpu"]
    assert own.commands == ["/env/bin/python -m pip install pillow 'numpy<2' onnxruntime-gpu"]
    assert "went on without: PIL (pillow)" in advice.lines()
    assert "packs.toml" in advice.lines()[-1]
    assert "packs.toml" not in own.lines()[-1]


def test_a_module_of_an_unknown_package_is_not_guessed(tmp_path):
    advice = advice_for(tmp_path, {"cm_global": "x.py:1", "einops": "x.py:2"}, {}, "python")

    assert advice.commands == ["python -m pip install einops"]


def test_what_must_fit_torch_comes_from_where_torch_does():
    lines = pip_lines("python", ["einops", "torchvision", "einops"], "2.13.0+cpu")

    assert lines == [
        "python -m pip install einops",
        "python -m pip install torchvision --index-url https://download.pytorch.org/whl/cpu",
    ]
    assert pip_lines("python", ["torchaudio"], "2.13.0") == ["python -m pip install torchaudio"]
    assert pip_lines("python", [], "") == []


def test_only_imports_that_must_succeed_count(tmp_path):
    package = tmp_path / "pack"
    (package / "below").mkdir(parents=True)
    (package / "__init__.py").write_text(
        "from .below import here\nfrom .broken import x\nfrom ...... import far\nimport below\n"
        "try:\n    import first_a\nexcept ImportError:\n    raise\n"
        "try:\n    import second_a\nexcept OSError:\n    pass\n"
        "try:\n    import third_a\nexcept:\n    import fourth_a\n"
        "import hosted.part\n"
    )
    (package / "below" / "__init__.py").write_text("from .. import below\nimport sixth_a\n")
    (package / "below" / "here.py").write_text("class A:\n    import seventh_a\n")
    (package / "broken.py").write_text("def")

    found = missing_imports(package / "__init__.py", ["hosted"])

    assert set(found) == {"first_a", "second_a", "sixth_a", "seventh_a"}
    assert found["sixth_a"] == f"{package}/below/__init__.py:2"


def test_versions_are_those_of_the_folders_that_are_named(tmp_path):
    info = tmp_path / "Some_Thing-1.5.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: Some_Thing\nVersion: 1.5\n")
    (tmp_path / "broken-1.dist-info").mkdir()

    assert installed_versions([str(tmp_path)]) == {"some-thing": "1.5"}
    assert "torch" in installed_versions()


def test_many_packs_that_are_left_out_are_one_line():
    problems = [PackError(f"{k} is broken.", details={"pack": f"p{k}"}) for k in range(30)]

    (line,) = problem_lines(problems)

    assert line.startswith("30 packs are left out: p0, p1, ")
    assert problem_lines([*problems[:2], PackError("a.")]) == ["0 is broken.", "1 is broken.", "a."]
