"""Sign a bundle: python -m src.export.sign BUNDLE --key PRIVATE.pem."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from src.contracts.atomic_file import atomic_file
from src.contracts.bundle import Bundle, open_bundle
from src.contracts.errors import BundleError, ConfigError
from src.contracts.exit_codes import exit_with_message
from src.contracts.signature import SIGNATURE, key_id, signature_of

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

__all__ = ["main", "sign"]

_EPILOG = """\
keys:
  openssl genpkey -algorithm ed25519 -out PRIVATE.pem         stays with who exports
  openssl pkey -in PRIVATE.pem -pubout -out PUBLIC.pem        goes to each machine that serves, not in the bundle

The bundle keeps its id and opens without a key. Who wants the signature checked says so:
  python -m serve --bundle BUNDLE --public-key PUBLIC.pem
  python -m src.export.verify BUNDLE --public-key PUBLIC.pem
An export to the same place writes an unsigned bundle.
"""


def sign(root: Path, key: Path) -> str:
    """Verify a bundle and write its `signature.json`, whole or not at all; an older signature is replaced.

    Args:
        root: the bundle's folder.
        key: PEM file of an Ed25519 private key without a passphrase.

    Returns:
        The key's id, 64 hex digits.

    Raises:
        BundleError: the bundle does not open, was replaced meanwhile, or cannot be written to.
        ConfigError: no such key in the file.
    """
    private = _read_private_key(key)
    bundle = open_bundle(root)
    try:
        _write(bundle, signature_of(bundle.seal, private))
    except OSError as error:
        raise BundleError(
            f"bundle {root}: cannot write {SIGNATURE} ({error.strerror}), nothing was changed; "
            "both the bundle and the folder that holds it must be writable, on one file system"
        ) from None
    return key_id(private.public_key())


def _write(bundle: Bundle, document: bytes) -> None:
    # Beside the bundle, then moved into it: a file that does not belong to a bundle keeps it from opening.
    root = bundle.root.resolve()
    with atomic_file(root / SIGNATURE, staging=root.parent) as temporary:
        temporary.write_bytes(document)
        temporary.chmod(0o644)
        bundle.check_in_place()


def _read_private_key(path: Path) -> "Ed25519PrivateKey":
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    make = "make one with `openssl genpkey -algorithm ed25519 -out PRIVATE.pem`"
    try:
        key = load_pem_private_key(path.read_bytes(), password=None)
    except OSError as error:
        raise ConfigError(f"key {path}: cannot be read ({error.strerror}); {make}") from None
    except TypeError:  # what the library raises where a password is wanted
        raise ConfigError(
            f"key {path}: has a passphrase, which nobody is asked for here; "
            "write it without one: `openssl pkey -in KEY.pem -out PRIVATE.pem`"
        ) from None
    except (ValueError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, Ed25519PrivateKey):
        raise ConfigError(f"key {path}: is no Ed25519 private key in PEM; {make}")
    return key


def main(arguments: list[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m src.export.sign",
        description=__doc__,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("bundle", type=Path, metavar="BUNDLE", help="folder that export.py wrote")
    parser.add_argument("--key", type=Path, required=True, metavar="PRIVATE.pem", help="Ed25519 private key")
    parsed = parser.parse_args(arguments)
    with exit_with_message():
        signer = sign(parsed.bundle, parsed.key)
        print(f"{parsed.bundle / SIGNATURE}: signed with key {signer}")


if __name__ == "__main__":
    main()
