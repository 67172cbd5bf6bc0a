"""Downloads against a local https server, and the places where files are looked for."""

import hashlib
import os
import shutil
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from graphembed.datasets import _download, _fetch
from graphembed.datasets._download import download_file
from graphembed.datasets._fetch import cache_dir, fetch_file
from graphembed.datasets._registry import RemoteFile, parse_registry, registry
from graphembed.exceptions import DatasetNotFoundError, DownloadError, FileFormatError

BODY = bytes(range(256)) * 1000
SHA256 = hashlib.sha256(BODY).hexdigest()
HINT = "put it there by hand"


@dataclass
class Server:
    """What a test needs to know about the running server."""

    address: str
    certificate: Path
    requests: list[str] = field(default_factory=list)
    released: threading.Event = field(default_factory=threading.Event)

    @property
    def context(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=str(self.certificate))

    def file(self, route: str, **changes: object) -> RemoteFile:
        made = RemoteFile(f"set/{route}", f"{self.address}/{route}", len(BODY), SHA256)
        return replace(made, **changes)


class Handler(BaseHTTPRequestHandler):
    """Good and bad answers, by path."""

    def do_GET(self) -> None:
        self.server.state.requests.append(self.path)
        getattr(self, "answer_" + self.path.strip("/").replace("-", "_"))()

    def log_message(self, *args: object) -> None:
        """Keep quiet."""

    def start(self, code: int, **headers: object) -> None:
        self.send_response(code)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), str(value))
        self.end_headers()

    def answer_good(self) -> None:
        self.start(200, Content_Length=len(BODY))
        self.wfile.write(BODY)

    def answer_longer(self) -> None:
        self.start(200, Content_Length=len(BODY) + 1)
        self.wfile.write(BODY + b"x")

    def answer_endless(self) -> None:
        self.start(200)
        try:
            while not self.server.state.released.is_set():
                self.wfile.write(BODY)
        except OSError:
            pass  # the client has had enough, as it should

    def answer_shorter(self) -> None:
        self.start(200, Content_Length=len(BODY) - 1)
        self.wfile.write(BODY[:-1])

    def answer_cut(self) -> None:
        self.start(200, Content_Length=len(BODY))
        self.wfile.write(BODY[: len(BODY) // 2])

    def answer_slow(self) -> None:
        self.start(200, Content_Length=len(BODY))
        self.wfile.write(BODY[:10])
        self.server.state.released.wait(20)

    def answer_missing(self) -> None:
        self.start(404, Content_Length=0)

    def answer_moved(self) -> None:
        self.start(302, Location=self.server.state.address + "/good", Content_Length=0)

    def answer_to_http(self) -> None:
        address = self.server.state.address.replace("https:", "http:")
        self.start(302, Location=address + "/good", Content_Length=0)

    def answer_to_file(self) -> None:
        self.start(302, Location="file:///etc/hostname", Content_Length=0)

    def answer_in_circles(self) -> None:
        self.start(302, Location=self.server.state.address + "/in-circles", Content_Length=0)


class QuietServer(ThreadingHTTPServer):
    """Does not report clients that hang up in the middle, which the tests do on purpose."""

    state: Server

    def handle_error(self, request: object, client_address: object) -> None:
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("the openssl command, which makes the server's certificate, is not installed")
    folder = tmp_path_factory.mktemp("certificate")
    cert, key = folder / "cert.pem", folder / "key.pem"
    command = [openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
    command += ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    command += ["-keyout", str(key), "-out", str(cert)]
    subprocess.run(command, check=True, capture_output=True)
    return cert, key


@pytest.fixture
def server(certificate: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("NO_PROXY", "localhost,127.0.0.1")
    monkeypatch.setenv("no_proxy", "localhost,127.0.0.1")
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(*certificate)
    with QuietServer(("127.0.0.1", 0), Handler) as running:
        running.socket = tls.wrap_socket(running.socket, server_side=True)
        running.state = Server(f"https://localhost:{running.server_port}", certificate[0])
        thread = threading.Thread(target=running.serve_forever, args=(0.01,))
        thread.start()
        yield running.state
        running.state.released.set()
        running.shutdown()
        thread.join()


@pytest.fixture
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """Empty data and cache folders that the environment names."""
    data, cache = tmp_path / "data", tmp_path / "cache"
    data.mkdir()
    monkeypatch.setenv("GRAPHEMBED_DATA", str(data))
    monkeypatch.setenv("GRAPHEMBED_CACHE", str(cache))
    return data, cache


def put(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


@pytest.mark.parametrize("route", ["good", "moved"])
def test_download_is_complete_and_leaves_nothing_else(
    server: Server, tmp_path: Path, route: str
) -> None:
    target = tmp_path / "new" / "folder" / "file.bin"
    download_file(server.file(route), target, hint=HINT, context=server.context)
    assert target.read_bytes() == BODY
    assert list(target.parent.iterdir()) == [target]
    assert server.requests[-1] == "/good"


@pytest.mark.parametrize("old", [None, b"old content"])
@pytest.mark.parametrize(
    ("route", "changes", "reason"),
    [
        ("good", {"sha256": "0" * 64}, f"sha256 is {SHA256}, expected {'0' * 64}"),
        ("good", {"size": len(BODY) - 1}, f"larger than the {len(BODY) - 1} bytes expected"),
        ("longer", {}, f"larger than the {len(BODY)} bytes expected"),
        ("endless", {}, f"larger than the {len(BODY)} bytes expected"),
        ("shorter", {}, f"ended after {len(BODY) - 1} of {len(BODY)} bytes"),
        ("cut", {}, f"ended after {len(BODY) // 2} of {len(BODY)} bytes|IncompleteRead"),
        ("slow", {}, "timed out"),
        ("missing", {}, "HTTP Error 404"),
        ("to-http", {}, "redirects to http://localhost:.*, which is not https"),
        ("to-file", {}, "'file:///etc/hostname' is not allowed"),
        ("in-circles", {}, "infinite loop"),
    ],
)
def test_a_failed_download_changes_nothing(
    server: Server,
    tmp_path: Path,
    route: str,
    changes: dict[str, object],
    reason: str,
    old: bytes | None,
) -> None:
    target = tmp_path / "file.bin"
    if old is not None:
        target.write_bytes(old)
    file = server.file(route, **changes)
    timeout = 0.5 if route == "slow" else 30  # other answers may be late where cores are busy
    with pytest.raises(DownloadError, match=reason) as caught:
        download_file(file, target, hint=HINT, timeout=timeout, context=server.context)
    assert file.url in str(caught.value)
    assert HINT in str(caught.value)
    if old is None:
        assert list(tmp_path.iterdir()) == []
    else:
        assert list(tmp_path.iterdir()) == [target]
        assert target.read_bytes() == old


def test_the_certificate_must_come_from_a_known_authority(server: Server, tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match="certificate verify failed"):
        download_file(server.file("good"), tmp_path / "file", hint=HINT)
    assert list(tmp_path.iterdir()) == []
    assert server.requests == []


def test_the_certificate_must_be_for_this_host(server: Server, tmp_path: Path) -> None:
    file = server.file("good", url=server.address.replace("localhost", "127.0.0.1") + "/good")
    with pytest.raises(DownloadError, match="certificate verify failed: IP address mismatch"):
        download_file(file, tmp_path / "file", hint=HINT, context=server.context)


def test_nobody_listens(server: Server, tmp_path: Path) -> None:
    file = server.file("good", url="https://localhost:1/good")
    with pytest.raises(DownloadError, match="refused"):
        download_file(file, tmp_path / "file", hint=HINT, timeout=2)


def test_an_interrupted_download_leaves_the_old_file(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "file"
    target.write_bytes(b"old content")
    all_chunks = _download._chunks

    def interrupted(*args: object) -> Iterator[bytes]:
        yield next(all_chunks(*args))
        assert len(list(tmp_path.iterdir())) == 2  # the new file is being written beside the old
        raise KeyboardInterrupt

    monkeypatch.setattr(_download, "_chunks", interrupted)
    with pytest.raises(KeyboardInterrupt):
        download_file(server.file("good"), target, hint=HINT, context=server.context)
    assert list(tmp_path.iterdir()) == [target]
    assert target.read_bytes() == b"old content"


def test_a_cache_that_cannot_be_written(server: Server, tmp_path: Path) -> None:
    put(tmp_path / "occupied", b"a file where a folder should be")
    with pytest.raises(DownloadError, match="occupied"):
        download_file(server.file("good"), tmp_path / "occupied" / "file", hint=HINT)
    assert server.requests == []


def test_processes_may_download_at_once(server: Server, places: tuple[Path, Path]) -> None:
    code = (
        "import sys; from graphembed.datasets._fetch import fetch_file\n"
        "from graphembed.datasets._registry import RemoteFile\n"
        "sys.stdin.readline()\n"
        "path, url, size, sha256 = sys.argv[1:]\n"
        "print(len(fetch_file(RemoteFile(path, url, int(size), sha256))))"
    )
    file = server.file("good")
    command = [sys.executable, "-c", code, file.path, file.url, str(file.size), file.sha256]
    environment = {**os.environ, "SSL_CERT_FILE": str(server.certificate)}
    running = [
        subprocess.Popen(
            command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for _ in range(3)
    ]
    for process in running:
        process.stdin.write("go\n")
        process.stdin.flush()
    for process in running:
        output, _ = process.communicate(timeout=60)
        assert (process.returncode, output.strip()) == (0, str(len(BODY)))
    assert [path.name for path in (places[1] / "set").iterdir()] == ["good"]


def test_a_file_is_downloaded_once(
    server: Server, places: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(server.certificate))
    for _ in range(2):
        assert fetch_file(server.file("good")) == BODY
    assert server.requests == ["/good"]
    assert (places[1] / "set" / "good").read_bytes() == BODY


def test_a_failed_fetch_tells_the_way_by_hand(
    server: Server, places: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(server.certificate))
    with pytest.raises(DownloadError) as caught:
        fetch_file(server.file("missing"))
    for part in (
        server.address + "/missing",
        str(places[1] / "set" / "missing"),
        "GRAPHEMBED_DATA",
    ):
        assert part in str(caught.value)


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> RemoteFile:
    """A file of the registry, and a download that must not happen."""

    def refuse(*args: object, **options: object) -> None:
        pytest.fail("a download was started")

    monkeypatch.setattr(_fetch, "download_file", refuse)
    return RemoteFile("set/file.bin", "https://example.org/file.bin", len(BODY), SHA256)


@pytest.mark.parametrize("place", [0, 1])
def test_files_on_disk_are_found(
    offline: RemoteFile, places: tuple[Path, Path], place: int
) -> None:
    put(places[place] / offline.path, BODY)
    assert fetch_file(offline) == BODY


def test_the_data_folder_comes_first(offline: RemoteFile, places: tuple[Path, Path]) -> None:
    put(places[0] / offline.path, BODY)
    put(places[1] / offline.path, b"damaged, but not looked at")
    assert fetch_file(offline) == BODY


@pytest.mark.parametrize("place", [0, 1])
@pytest.mark.parametrize("content", [b"", BODY[:-1], BODY + b"x", BODY[:-1] + b"x"])
def test_files_on_disk_are_checked(
    offline: RemoteFile, places: tuple[Path, Path], place: int, content: bytes
) -> None:
    path = places[place] / offline.path
    put(path, content)
    with pytest.raises(FileFormatError) as caught:
        fetch_file(offline)
    for part in (str(path), hashlib.sha256(content).hexdigest(), SHA256, offline.url):
        assert part in str(caught.value)
    assert path.read_bytes() == content


def test_download_false_forbids_it(offline: RemoteFile, places: tuple[Path, Path]) -> None:
    with pytest.raises(DatasetNotFoundError, match="download=False") as caught:
        fetch_file(offline, download=False)
    for part in (offline.url, str(places[1] / offline.path), "GRAPHEMBED_DATA"):
        assert part in str(caught.value)


def test_the_data_folder_must_exist(
    offline: RemoteFile, places: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GRAPHEMBED_DATA", str(places[0] / "nowhere"))
    with pytest.raises(DatasetNotFoundError, match=r"GRAPHEMBED_DATA must name a folder"):
        fetch_file(offline)


def test_where_the_cache_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.delenv("GRAPHEMBED_CACHE", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    assert cache_dir() == tmp_path / ".cache" / "graphembed"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    assert cache_dir() == tmp_path / ".cache" / "graphembed"
    monkeypatch.setattr(sys, "platform", "darwin")
    assert cache_dir() == tmp_path / "Library" / "Caches" / "graphembed"
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path / "local"))
    assert cache_dir() == tmp_path / "local" / "graphembed"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_dir() == tmp_path / "xdg" / "graphembed"
    monkeypatch.setenv("GRAPHEMBED_CACHE", str(tmp_path / "mine"))
    assert cache_dir() == tmp_path / "mine"


@pytest.mark.parametrize(
    ("field_name", "value"),
    [
        *(
            ("path", path)
            for path in (
                "", "/etc/passwd", "../up", "a/../../up", "a//b", "./a", "a/", "C:/a", "a\\..\\b",
            )
        ),
        ("url", "http://example.org/file"),
        ("url", "file:///etc/passwd"),
        ("size", 0),
        ("sha256", "abc"),
        ("sha256", "G" * 64),
    ],
)  # fmt: skip
def test_a_bad_registry_entry_is_refused(
    offline: RemoteFile, field_name: str, value: object
) -> None:
    with pytest.raises(ValueError, match=f"^{field_name} must"):
        replace(offline, **{field_name: value})


def test_the_registry_is_complete() -> None:
    for entry in registry().values():
        assert entry.description
        assert entry.licence
        assert entry.citation
        for file in entry.files:
            # an address that names a commit: what it gives never changes
            assert any(len(part) == 40 for part in file.url.split("/")), file.url
    paths = [file.path for entry in registry().values() for file in entry.files]
    assert len(set(paths)) == len(paths)


def test_parse_registry() -> None:
    text = f"""
    [one]
    description = "d"
    licence = "l"
    citation = "c"
    [[one.files]]
    path = "one/a"
    url = "https://example.org/a"
    size = 3
    sha256 = "{SHA256}"
    """
    entry = parse_registry(text)["one"]
    assert entry.files == (RemoteFile("one/a", "https://example.org/a", 3, SHA256),)
    with pytest.raises(TypeError, match="colour"):
        parse_registry(text + 'colour = "red"')


def test_the_top_level_registry_is_the_package_s() -> None:
    top = Path(__file__).parents[1] / "datasets" / "registry.toml"
    package = Path(_fetch.__file__).with_name("registry.toml")
    assert top.resolve().read_bytes() == package.read_bytes()
