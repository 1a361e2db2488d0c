"""One way to fail and one way to be interrupted, for every command."""

from __future__ import annotations

from collections.abc import Callable

from faq_search import exits


class CommandError(Exception):
    """A command cannot do what was asked; the message says why and what to do."""


def guard(run: Callable[[], int]) -> int:
    """Runs a command and returns its exit status; see faq_search.exits.guard."""
    return exits.guard(run, message_of)


def message_of(error: Exception) -> str | None:
    """What a person should read about an error; None for a bug."""
    if isinstance(error, CommandError):
        return str(error)
    # Only now: whatever raised such an error has imported its class.
    from corpus.reader import CorpusError
    from faq_search.errors import FaqSearchError, InputError
    from stage.bundles import BundleError
    from stage.installer import InstallError

    if isinstance(error, (CorpusError, FaqSearchError, InputError, BundleError, InstallError)):
        return str(error)
    if isinstance(error, OSError) and error.filename:
        return f"{error.filename}: {error.strerror}"
    return _settings_message(error) or _aws_message(error)


def _settings_message(error: Exception) -> str | None:
    from stage.settings import SettingsError

    return str(error) if isinstance(error, SettingsError) else None


_SIGN_IN = "Sign in (`aws sso login`), or set AWS_PROFILE."


def _aws_message(error: Exception) -> str | None:
    from botocore import exceptions

    if isinstance(error, exceptions.ClientError):
        code = error.response["Error"]["Code"]
        expired = any(part in code for part in ("Expired", "InvalidClientToken", "Unrecognized"))
        return f"AWS refused: {error}" + (f" {_SIGN_IN}" if expired else "")
    if isinstance(
        error,
        (
            exceptions.NoCredentialsError,
            exceptions.PartialCredentialsError,
            exceptions.CredentialRetrievalError,
            exceptions.ProfileNotFound,
            exceptions.SSOError,
        ),
    ):
        return f"No AWS credentials: {error}. {_SIGN_IN}"
    if isinstance(error, exceptions.BotoCoreError):
        return f"AWS cannot be asked: {error} Check the network and the region."
    return None
