"""A signature is written whole or not at all, for a bundle that is good, with a key that can be meant."""

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, PrivateFormat

from src.contracts.bundle import open_bundle, staged_bundle
from src.contracts.errors import BundleError, ConfigError
from src.contracts.signature import SIGNATURE
from src.export import sign as signing
from src.export.sign import main, sign
from tests.signing_keys import PRIVATE, PUBLIC, write_keys


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return write(tmp_path / "place" / "bundle")


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    return write_keys(tmp_path / "keys")


def write(output: Path, *, dim: int = 8) -> Path:
    with staged_bundle(output) as draft:
        (draft.root / "index.faiss").write_bytes(b"graph" * 50)
        draft.content |= {"dim": dim}
    return output


def test_what_is_signed_is_verified(bundle: Path, keys: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main([str(bundle), "--key", str(keys / PRIVATE)])
    signer = sign(bundle, keys / PRIVATE)
    assert capsys.readouterr().out == f"{bundle / SIGNATURE}: signed with key {signer}\n"
    open_bundle(bundle, public_key=keys / PUBLIC)
    # Nothing is left beside it, and others may read it.
    assert [path.name for path in bundle.parent.iterdir()] == ["bundle"]
    assert (bundle / SIGNATURE).stat().st_mode & 0o777 == 0o644


def test_signing_again_gives_the_same_file_and_another_key_replaces_it(
    bundle: Path, keys: Path, tmp_path: Path
) -> None:
    sign(bundle, keys / PRIVATE)
    first = (bundle / SIGNATURE).read_bytes()
    sign(bundle, keys / PRIVATE)
    assert (bundle / SIGNATURE).read_bytes() == first
    other = write_keys(tmp_path / "other")
    sign(bundle, other / PRIVATE)
    open_bundle(bundle, public_key=other / PUBLIC)
    with pytest.raises(BundleError, match="signed with key"):
        open_bundle(bundle, public_key=keys / PUBLIC)


def test_a_bundle_is_signed_through_a_link(bundle: Path, keys: Path, tmp_path: Path) -> None:
    (tmp_path / "current").symlink_to(bundle)
    sign(tmp_path / "current", keys / PRIVATE)
    open_bundle(bundle, public_key=keys / PUBLIC)


def test_a_damaged_bundle_is_not_signed(bundle: Path, keys: Path) -> None:
    (bundle / "index.faiss").write_bytes(b"other")
    with pytest.raises(BundleError, match=r"index\.faiss has hash"):
        sign(bundle, keys / PRIVATE)
    assert not (bundle / SIGNATURE).exists()


def test_a_bundle_that_takes_the_place_meanwhile_is_not_signed(
    bundle: Path, keys: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def opened(root: Path):
        found = open_bundle(root)
        write(root, dim=9)
        return found

    monkeypatch.setattr(signing, "open_bundle", opened)
    with pytest.raises(BundleError, match="another took its place"):
        sign(bundle, keys / PRIVATE)
    assert not (bundle / SIGNATURE).exists()
    assert [path.name for path in bundle.parent.iterdir()] == ["bundle"]


def test_an_error_while_writing_leaves_the_older_signature(
    bundle: Path, keys: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sign(bundle, keys / PRIVATE)
    first = (bundle / SIGNATURE).read_bytes()

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(BundleError, match=r"cannot write signature\.json \(No space left on device\), nothing was"):
        sign(bundle, write_keys(tmp_path / "other") / PRIVATE)
    assert (bundle / SIGNATURE).read_bytes() == first
    assert [path.name for path in bundle.parent.iterdir()] == ["bundle"]


def test_keys_that_cannot_sign_are_refused(bundle: Path, keys: Path, tmp_path: Path) -> None:
    (tmp_path / "text.pem").write_text("no key")
    rsa = write_keys(tmp_path / "rsa", generate_private_key(65537, 2048))
    for file in (tmp_path / "text.pem", keys / PUBLIC, rsa / PRIVATE):
        with pytest.raises(ConfigError, match=r"is no Ed25519 private key in PEM.*`openssl genpkey -algorithm ed25519"):
            sign(bundle, file)
    encryption = BestAvailableEncryption(b"secret")
    encrypted = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption)
    (tmp_path / "encrypted.pem").write_bytes(encrypted)
    with pytest.raises(ConfigError, match=r"has a passphrase.*`openssl pkey -in KEY"):
        sign(bundle, tmp_path / "encrypted.pem")
    with pytest.raises(ConfigError, match="cannot be read"):
        sign(bundle, tmp_path / "absent.pem")
    assert not (bundle / SIGNATURE).exists()


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["{bundle}"], "--key"),
        (["{bundle}", "--key", "absent.pem"], "cannot be read"),
        (["{bundle}/none", "--key", "{keys}/private.pem"], "make one with export.py"),
    ],
)
def test_what_can_be_mended_exits_with_2(
    bundle: Path, keys: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], word: str
) -> None:
    with pytest.raises(SystemExit) as caught:
        main([argument.format(bundle=bundle, keys=keys) for argument in arguments])
    assert caught.value.code == 2
    assert word in capsys.readouterr().err


def test_the_commands_of_help_make_keys_that_work(
    bundle: Path, tmp_path: Path, repository: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    with pytest.raises(SystemExit):
        main(["--help"])
    lines = [line.strip() for line in capsys.readouterr().out.splitlines()]
    commands = [line.partition("  ")[0].split() for line in lines if line.startswith("openssl ")]
    assert len(commands) == 2
    for command in commands:
        subprocess.run(command, cwd=tmp_path, capture_output=True, check=True)
    command = [sys.executable, "-m", "src.export.sign", str(bundle), "--key", str(tmp_path / "PRIVATE.pem")]
    done = subprocess.run(command, cwd=repository, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    open_bundle(bundle, public_key=tmp_path / "PUBLIC.pem")
    # The key's id is what openssl and SHA-256 make of the public key.
    der = ["openssl", "pkey", "-pubin", "-in", "PUBLIC.pem", "-outform", "DER"]
    raw = subprocess.run(der, cwd=tmp_path, capture_output=True, check=True).stdout
    assert done.stdout.strip().endswith(hashlib.sha256(raw).hexdigest())
