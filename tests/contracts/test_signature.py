"""Who asks for a signer's bundle gets that bundle, unaltered, or an error that says what to do."""

import base64
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed448 import Ed448PrivateKey

from src.contracts.bundle import MANIFEST, open_bundle, staged_bundle
from src.contracts.errors import BundleError, ConfigError
from src.contracts.preprocessing import PreprocessingSpec
from src.contracts.signature import SIGNATURE
from src.export.sign import sign
from tests.signing_keys import PRIVATE, PUBLIC, write_keys


def write(output: Path, *, dim: int = 8, recall: float = 0.99) -> Path:
    with staged_bundle(output) as draft:
        (draft.root / "index.faiss").write_bytes(b"graph" * 50)
        draft.content |= {"preprocessing": PreprocessingSpec().to_dict(), "dim": dim, "metric": "cosine"}
        draft.measured |= {"index": {"recall_at_10": recall}}
    return output


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_keys(tmp_path_factory.mktemp("keys") / "ours")


@pytest.fixture
def signed(tmp_path: Path, keys: Path) -> Path:
    sign(write(tmp_path / "bundle"), keys / PRIVATE)
    return tmp_path / "bundle"


def test_a_signed_bundle_opens_with_its_key_and_without_one(signed: Path, keys: Path, tmp_path: Path) -> None:
    plain = open_bundle(write(tmp_path / "plain"))
    for bundle in (open_bundle(signed), open_bundle(signed, public_key=keys / PUBLIC)):
        assert (bundle.bundle_id, bundle.seal) == (plain.bundle_id, plain.seal)
        bundle.check_in_place()
        with pytest.raises(BundleError, match=r"has no signature\.json"):
            bundle.path(SIGNATURE)


def test_an_unsigned_bundle_is_refused_where_a_key_is_given(tmp_path: Path, keys: Path) -> None:
    with pytest.raises(BundleError, match=r"is not signed.* src\.export\.sign BUNDLE --key"):
        open_bundle(write(tmp_path / "bundle"), public_key=keys / PUBLIC)


def test_another_signer_s_bundle_is_refused(signed: Path, tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"signed with key '[0-9a-f]{16}', while .*name the public key of a signer"):
        open_bundle(signed, public_key=write_keys(tmp_path / "theirs") / PUBLIC)


def test_one_who_claims_our_key_is_refused(tmp_path: Path, keys: Path, signed: Path) -> None:
    forged = write(tmp_path / "forged")
    sign(forged, write_keys(tmp_path / "theirs") / PRIVATE)
    ours, theirs = (json.loads((root / SIGNATURE).read_text()) for root in (signed, forged))
    raw = (forged / SIGNATURE).read_text().replace(theirs["key_id"], ours["key_id"])
    (forged / SIGNATURE).write_text(raw)
    with pytest.raises(BundleError, match=r"signature\.json was not made for this bundle"):
        open_bundle(forged, public_key=keys / PUBLIC)


@pytest.mark.parametrize("change", [{"dim": 9}, {"recall": 0.98}])
def test_a_signature_moved_to_another_bundle_is_refused(signed: Path, tmp_path: Path, keys: Path, change) -> None:
    other = write(tmp_path / "other", **change)
    shutil.copy(signed / SIGNATURE, other)
    open_bundle(other)
    with pytest.raises(BundleError, match=r"signature\.json was not made for this bundle.* sign it again"):
        open_bundle(other, public_key=keys / PUBLIC)


@pytest.mark.parametrize("name", [MANIFEST, SIGNATURE, "index.faiss"])
def test_one_flipped_bit_anywhere_is_noticed(signed: Path, keys: Path, name: str) -> None:
    original = (signed / name).read_bytes()
    for at in range(len(original)):
        changed = bytearray(original)
        changed[at] ^= 1 << at % 8
        (signed / name).write_bytes(changed)
        with pytest.raises(BundleError, match=str(signed)):
            open_bundle(signed, public_key=keys / PUBLIC)
    (signed / name).write_bytes(original)
    open_bundle(signed, public_key=keys / PUBLIC)


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"null\n",
        b"[]\n",
        b"{}\n",
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"key_id": 1, "signature": 2}',
        b'{"key_id": NaN, "signature": ""}',
        b'{\n "algorithm": "none",\n "key_id": "",\n "signature": ""\n}\n',
    ],
)
def test_what_is_no_signature_is_refused(signed: Path, keys: Path, raw: bytes) -> None:
    (signed / SIGNATURE).write_bytes(raw)
    with pytest.raises(BundleError, match=r"signature\.json is damaged"):
        open_bundle(signed, public_key=keys / PUBLIC)


@pytest.mark.parametrize("size", [0, 63, 65])
def test_a_signature_of_another_length_is_refused(signed: Path, keys: Path, size: int) -> None:
    stored = json.loads((signed / SIGNATURE).read_text())
    stored["signature"] = base64.b64encode(bytes(size)).decode()
    (signed / SIGNATURE).write_text(json.dumps(stored, indent=1) + "\n")
    with pytest.raises(BundleError, match=r"signature\.json was not made for this bundle"):
        open_bundle(signed, public_key=keys / PUBLIC)


def test_a_folder_in_the_signature_s_place_is_refused(signed: Path, keys: Path) -> None:
    (signed / SIGNATURE).unlink()
    (signed / SIGNATURE).mkdir()
    with pytest.raises(BundleError, match=r"signature\.json does not belong to it"):
        open_bundle(signed)
    with pytest.raises(BundleError, match="is not signed"):
        open_bundle(signed, public_key=keys / PUBLIC)


def test_what_is_no_ed25519_public_key_is_refused(signed: Path, keys: Path, tmp_path: Path) -> None:
    (tmp_path / "text.pem").write_text("no key")
    for file in (
        tmp_path / "text.pem",
        keys / PRIVATE,
        write_keys(tmp_path / "ec", generate_private_key(SECP256R1())) / PUBLIC,
        write_keys(tmp_path / "ed448", Ed448PrivateKey.generate()) / PUBLIC,
    ):
        with pytest.raises(ConfigError, match=r"is no Ed25519 public key in PEM.*`openssl pkey -in") as caught:
            open_bundle(signed, public_key=file)
        assert str(file) in str(caught.value)
    with pytest.raises(ConfigError, match="cannot be read"):
        open_bundle(signed, public_key=tmp_path / "absent.pem")


def test_a_new_export_takes_the_signature_away(signed: Path) -> None:
    write(signed)
    assert not (signed / SIGNATURE).exists()
    open_bundle(signed)


def test_openssl_finds_the_signature_good(signed: Path, keys: Path, tmp_path: Path) -> None:
    """An implementation that is not ours, with a message put together from the manifest as it is documented."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    manifest, stored = (json.loads((signed / name).read_text()) for name in (MANIFEST, SIGNATURE))
    message = f"lookalike bundle seal, format {manifest['format']}: {manifest['seal']}"
    (tmp_path / "message").write_text(message)
    (tmp_path / "signature").write_bytes(base64.b64decode(stored["signature"]))
    command = ["openssl", "pkeyutl", "-verify", "-rawin", "-pubin", "-inkey", str(keys / PUBLIC)]
    command += ["-in", str(tmp_path / "message"), "-sigfile", str(tmp_path / "signature")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert stored["algorithm"] == "ed25519"


def test_without_a_key_nothing_new_is_needed(signed: Path, repository: Path) -> None:
    code = (
        "import sys; sys.modules['cryptography'] = None\n"
        "from pathlib import Path\n"
        "import serve.app\n"
        "from src.contracts.bundle import open_bundle\n"
        "open_bundle(Path(sys.argv[1]))"
    )
    command = [sys.executable, "-c", code, str(signed)]
    done = subprocess.run(command, cwd=repository, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
