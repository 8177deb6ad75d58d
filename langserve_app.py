"""The composition root: settings → logs → server. `genai serve` runs it; `--help` lists every setting."""

import argparse
import os
import sys
from collections.abc import Sequence
from datetime import UTC, datetime

from core.logs import close_logging, configure_logging
from core.settings import ProviderSettings, Settings, SettingsError, describe
from core.storages import check_files_url
from core.transport.certificate import read_certificate
from core.transport.plaintext import check_listening
from providers import PROVIDERS
from providers.cross_encoder import check_directory
from providers.local_weights import check_own_file
from providers.outward import refuse_plain_address
from providers.parts import require_parts
from retrievers import require_stores
from server.boot import serve, show_sign_in_link

#: The embedded worker and the handbook: named, not imported, because importing them takes seconds.
BESIDE = "jobs.beside:beside"


def main(arguments: Sequence[str] | None = None) -> int:
    """Read the command line and the settings, then serve until asked to stop. Returns the exit code."""
    os.umask(0o077)  # what is written is for the platform's user alone
    options = vars(_parser().parse_args(arguments))
    only_link, only_rotate = options.pop("sign_in_link"), options.pop("rotate_encryption")
    try:
        settings = Settings.load(**{name: value for name, value in options.items() if value is not None})
        if not only_link:
            check_names(settings)
        configure_logging(settings.log, settings.tls, answers_on_stdout=only_link or only_rotate)
    except SettingsError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    try:
        if only_rotate:
            from server.rotation import rotate_encryption

            return rotate_encryption(settings)
        return show_sign_in_link(settings) if only_link else serve(settings, beside=BESIDE)
    finally:
        close_logging()


def check_names(settings: Settings) -> None:
    """Refuse what a setting names and is not there, or must not be, before anything is started for it. Imports no plugin.

    Raises:
        SettingsError: an unknown store, provider or file store, a part that is not installed, a data directory that cannot be
            made, a certificate that cannot be served, or plaintext beyond this machine; the message names the setting.
    """
    require_stores(settings.retrieval)
    for model in settings.models:
        for number, deployment in enumerate(model.deployments, 1):
            where = f"provider of deployment {number} of the alias {model.alias!r} (models in the TOML file)"
            PROVIDERS.require(deployment.provider.partition(":")[0], where)
            configured = settings.providers.get(deployment.provider, ProviderSettings())
            refuse_plain_address(deployment.provider, configured, settings.tls)
    for name in settings.providers:
        PROVIDERS.require(name.partition(":")[0], f"providers.{name!r} in the TOML file")
    check_files_url(settings.files_url)
    check_own_file(settings.local.chat_model)
    check_directory(settings.retrieval.cross_encoder)
    require_parts(settings)
    check_listening(settings)
    if settings.tls.serves:
        read_certificate(settings.tls, datetime.now(UTC))
    settings.path("genai.db")


def _parser() -> argparse.ArgumentParser:
    lines = [f"  {variable:<34} {default or '–':<22} {meaning}" for variable, default, meaning in describe()]
    parser = argparse.ArgumentParser(
        prog="genai serve",
        description="Serve the GenAI platform: chat, completion, code, RAG and multimodal runnables.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="\n".join(
            [
                "settings (variable, default, meaning); GENAI_CONFIG names a TOML file with the same names in it:",
                *lines,
                "  models, providers: tables of the TOML file ([[models]], [providers.NAME]); see docs/configuration.md",
            ]
        ),
    )
    parser.add_argument("--host", help="address to listen on (GENAI_HOST)")
    parser.add_argument("--port", type=int, help="port to listen on, 0 takes a free one (GENAI_PORT)")
    parser.add_argument("--data-dir", help="where everything is kept (GENAI_DATA_DIR)")
    parser.add_argument(
        "--sign-in-link", action="store_true", help="print a new one-time sign-in link for the administrator and exit"
    )
    parser.add_argument(
        "--rotate-encryption",
        action="store_true",
        help="make new keys and seal with them what is stored, also while the platform serves, and exit",
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
