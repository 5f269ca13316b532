"""A bundle's signature: `signature.json` beside its manifest, Ed25519 (RFC 8032) over the manifest's seal.

The seal hashes everything that a manifest says, hence every file. The signature is no part of what it signs: a bundle
has the same id and seal with and without one, and opens without a key. It says who made the bundle only to those who
hold the public key already; none is in the bundle.
"""

import base64
import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING

from src.contracts.errors import BundleError, ConfigError

if TYPE_CHECKING:  # Imported where they are used, too: without a key nothing of it is loaded.
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

__all__ = ["SIGNATURE", "check_signature", "key_id", "signature_of"]

SIGNATURE = "signature.json"

_ALGORITHM = "ed25519"
_PREFIX = b"lookalike bundle seal, format 3: "
"""What is signed begins with this, so that no signature made for another purpose fits, and none of ours fits there."""


def key_id(key: "Ed25519PublicKey") -> str:
    """SHA-256 of a public key in DER, 64 hex digits; `openssl pkey -pubin -outform DER | sha256sum` gives the same."""
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    return hashlib.sha256(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).hexdigest()


def signature_of(seal: str, key: "Ed25519PrivateKey") -> bytes:
    """What `signature.json` holds for a seal; equal seals and keys give equal bytes."""
    return _document(key_id(key.public_key()), key.sign(_PREFIX + seal.encode()))


def check_signature(root: Path, seal: str, public_key: Path) -> None:
    """Raise unless a bundle is signed with one key.

    Args:
        root: the bundle's folder.
        seal: its manifest's seal.
        public_key: PEM file of the signer's public key.

    Raises:
        BundleError: no signature, one that was altered or is of another bundle, or another signer's.
        ConfigError: no Ed25519 public key in the file.
    """
    from cryptography.exceptions import InvalidSignature

    key = _read_public_key(public_key)
    if not (root / SIGNATURE).is_file():
        raise BundleError(
            f"bundle {root}: it is not signed, and only bundles signed with {public_key} are wanted; "
            "have its maker sign it: python -m src.export.sign BUNDLE --key PRIVATE.pem"
        )
    signer, signature = _parsed((root / SIGNATURE).read_bytes(), root)
    if signer != key_id(key):
        raise BundleError(
            f"bundle {root}: signed with key {str(signer)[:16]!r}, while {public_key} is key {key_id(key)[:16]!r}; "
            "take a bundle of its holder, or name the public key of a signer that you trust"
        )
    try:
        key.verify(signature, _PREFIX + seal.encode())
    except InvalidSignature:
        raise BundleError(
            f"bundle {root}: {SIGNATURE} was not made for this bundle; "
            "one of them was altered or replaced: fetch the bundle again, or have its maker sign it again"
        ) from None


def _read_public_key(path: Path) -> "Ed25519PublicKey":
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    try:
        key = load_pem_public_key(path.read_bytes())
    except OSError as error:
        raise ConfigError(f"public key {path}: cannot be read ({error.strerror}); name a PEM file") from None
    except (ValueError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, Ed25519PublicKey):
        raise ConfigError(
            f"public key {path}: is no Ed25519 public key in PEM; "
            "its signer makes one with `openssl pkey -in PRIVATE.pem -pubout -out PUBLIC.pem`"
        )
    return key


def _parsed(raw: bytes, root: Path) -> tuple[object, bytes]:
    """Signer and signature; compared as bytes with what would be written, so that not even a changed space passes."""
    try:
        document = json.loads(raw)
        signer, signature = document["key_id"], base64.b64decode(document["signature"], validate=True)
        if raw == _document(signer, signature):
            return signer, signature
    except (ValueError, KeyError, TypeError, RecursionError):
        pass
    raise BundleError(f"bundle {root}: {SIGNATURE} is damaged; fetch the bundle again, or have its maker sign it again")


def _document(signer: object, signature: bytes) -> bytes:
    content = {"algorithm": _ALGORITHM, "key_id": signer, "signature": base64.b64encode(signature).decode()}
    return (json.dumps(content, indent=1, allow_nan=False) + "\n").encode()
