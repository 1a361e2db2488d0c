"""Packages that travel with our code: fetched once, whole or not at all, by uv or by pip."""

from __future__ import annotations

import hashlib
import sys
import threading
import zipfile
from pathlib import Path

import pytest

from stage import bundles, installer, vendor
from stage.bundles import BundleError
from stage.installer import InstallError, parse_pip_options, uv_environment
from stage.vendor import Vendored, vendored_bundle


@pytest.fixture
def build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty .build."""
    monkeypatch.setattr(bundles, "BUILD_DIRECTORY", tmp_path / ".build")
    monkeypatch.setattr(vendor, "ROOT", tmp_path)
    return tmp_path / ".build"


@pytest.fixture
def packages(tmp_path: Path) -> Vendored:
    """A locked wheel, in a folder where pip looks for wheels."""
    lines = {
        "small/__init__.py": "ANSWER = 42\n",
        "small/plugins/unwanted.so": "large",
        "small-1.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: small\nVersion: 1.0\n",
        "small-1.0.dist-info/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any",
        "small-1.0.dist-info/entry_points.txt": "[console_scripts]\nsmall = small:main\n",
    }
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    wheel = wheels / "small-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for name, text in lines.items():
            archive.writestr(name, text)
        record = "".join(f"{name},,\n" for name in [*lines, "small-1.0.dist-info/RECORD"])
        archive.writestr("small-1.0.dist-info/RECORD", record)
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    lock = tmp_path / "lock.txt"
    lock.write_text(f"small==1.0 --hash=sha256:{digest}\n")
    return Vendored("small", lock, "3.13", "python/", (*vendor._INSTALLERS_OWN, "small/plugins"))


@pytest.fixture
def offline(packages: Vendored, monkeypatch: pytest.MonkeyPatch) -> None:
    """pip's own configuration says where packages are: in that folder alone."""
    installer.pip_options.cache_clear()
    for name in ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "UV_INDEX", "UV_DEFAULT_INDEX"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(packages.lock.parent / "wheels"))
    yield
    installer.pip_options.cache_clear()


def names(path: Path) -> list[str]:
    return zipfile.ZipFile(path).namelist()


@pytest.fixture(params=["uv", "pip"])
def tool(request, monkeypatch: pytest.MonkeyPatch) -> str:
    """Which of the two there is."""
    if request.param == "pip":
        monkeypatch.setattr(installer, "find_uv", lambda _: None)
    else:
        assert installer.find_uv(Path(sys.executable))
    return request.param


def test_both_installers_give_the_same_zip(build, packages, offline, tool, capfd) -> None:
    bundle = vendored_bundle(packages)
    assert names(bundle.path) == [
        "python/small-1.0.dist-info/METADATA",
        "python/small-1.0.dist-info/WHEEL",
        "python/small-1.0.dist-info/entry_points.txt",
        "python/small/__init__.py",
    ]
    assert [path.name for path in build.iterdir()] == [bundle.path.name]
    printed = capfd.readouterr()
    assert printed.out == ""  # where the CDK prints templates
    assert printed.err.splitlines()[0] == "Fetching the packages of lock.txt, once …"


def test_another_hash_is_refused(build, packages, offline, tool, capfd) -> None:
    packages.lock.write_text(f"small==1.0 --hash=sha256:{'0' * 64}\n")
    with pytest.raises(BundleError, match=rf"lock\.txt could not be fetched: {tool} failed"):
        vendored_bundle(packages)
    assert list(build.iterdir()) == []
    assert "hash" in capfd.readouterr().err.lower()


def test_what_cannot_be_found_says_that_the_first_synth_needs_a_network(
    build, packages, offline, tool
) -> None:
    (packages.lock.parent / "wheels/small-1.0-py3-none-any.whl").unlink()
    with pytest.raises(BundleError, match=r"at the first synth only: try again online"):
        vendored_bundle(packages)
    assert list(build.iterdir()) == []


def test_it_is_fetched_once(build, packages, monkeypatch) -> None:
    fetched = []

    def install(locks, *, target, **_):
        fetched.append(locks)
        (target / "a.py").write_text("1")

    monkeypatch.setattr(vendor, "install", install)
    first = vendored_bundle(packages)
    assert vendored_bundle(packages) == first
    assert len(fetched) == 1


def test_ctrl_c_leaves_nothing_half_done(build, packages, monkeypatch) -> None:
    def install(locks, *, target, **_):
        (target / "a.py").write_text("1")
        raise KeyboardInterrupt

    monkeypatch.setattr(vendor, "install", install)
    with pytest.raises(KeyboardInterrupt):
        vendored_bundle(packages)
    assert list(build.iterdir()) == []


def test_two_at_once_do_not_disturb_each_other(build, packages, monkeypatch) -> None:
    both = threading.Barrier(2)

    def install(locks, *, target, **_):
        (target / "a.py").write_text("1")
        both.wait(timeout=10)

    monkeypatch.setattr(vendor, "install", install)
    found: list[list[str]] = []
    threads = [
        threading.Thread(target=lambda: found.append(names(vendored_bundle(packages).path)))
        for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [["python/a.py"]] * 2
    assert len(list(build.iterdir())) == 1


def test_an_environment_without_an_installer_says_so(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(installer, "find_uv", lambda _: None)
    monkeypatch.setattr(installer, "_has_module", lambda *_: False)
    with pytest.raises(InstallError, match="has neither pip nor uv"):
        installer.install([tmp_path / "lock.txt"])


class TestUvFindsPackagesWherePipDoes:
    def test_by_pips_options_of_which_the_environment_counts_most(self) -> None:
        listed = (
            ":env:.index-url='https://mirror.example/simple'\n"
            "global.index-url='https://other.example/simple'\n"
            "global.extra-index-url='https://a.example/simple\\nhttps://b.example/simple'\n"
            "install.find-links='/wheels /more'\n"
            "freeze.timeout='10'\n"
        )
        options = parse_pip_options(listed)
        environment = uv_environment({"HOME": "/root"}, options, Path(sys.executable))
        assert environment["UV_DEFAULT_INDEX"] == "https://mirror.example/simple"
        assert environment["UV_INDEX"] == "https://a.example/simple https://b.example/simple"
        assert environment["UV_FIND_LINKS"] == "/wheels,/more"
        assert "UV_HTTP_TIMEOUT" not in environment

    def test_unless_uv_is_configured_itself(self) -> None:
        mine = {"UV_DEFAULT_INDEX": "https://mine.example/simple", "SSL_CERT_FILE": "mine.pem"}
        options = {"index-url": "https://mirror.example/simple", "cert": "pips.pem"}
        environment = uv_environment(mine, options, Path(sys.executable))
        assert mine.items() <= environment.items()

    def test_and_nothing_where_pip_is_not_configured(self) -> None:
        environment = uv_environment({}, {}, Path(sys.executable))
        assert environment.keys() <= {"UV_INDEX_STRATEGY", "UV_LINK_MODE"}
