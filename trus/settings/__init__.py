"""The settings of a deployment: one typed YAML format for every role.

| module | what it does |
|---|---|
| sections, model, model_directory | names every setting: kind, default, reason |
| kinds, values | how values are read, checked and written; durations and sizes |
| reading, loading | a file to Settings, or to all its problems at once |
| writing | Settings to commented YAML |
| files | looks at the files that the settings name |
| describe | writes docs/reference/configuration.md |

Holds no secret: passphrases and PINs stand in files of their own, named by the settings.
"""

from trus.settings.loading import load, parse
from trus.settings.model import (
    AdminPortSettings,
    AdminTlsSettings,
    BackendAddress,
    BackendSettings,
    CardSettings,
    CoreSettings,
    DatabaseSettings,
    DevicesSettings,
    GatewaySettings,
    IdentitySettings,
    LinkPortSettings,
    LinkSettings,
    NetworkSettings,
    ScreeningSettings,
    Settings,
    TlsSettings,
    TokenSettings,
)
from trus.settings.problems import Problem, SettingsInvalid
from trus.settings.values import DatabaseUrl, Duration, Size
from trus.settings.writing import dump

__all__ = [
    "AdminPortSettings",
    "AdminTlsSettings",
    "BackendAddress",
    "BackendSettings",
    "CardSettings",
    "CoreSettings",
    "DatabaseSettings",
    "DatabaseUrl",
    "DevicesSettings",
    "Duration",
    "GatewaySettings",
    "IdentitySettings",
    "LinkPortSettings",
    "LinkSettings",
    "NetworkSettings",
    "Problem",
    "ScreeningSettings",
    "Settings",
    "SettingsInvalid",
    "Size",
    "TlsSettings",
    "TokenSettings",
    "dump",
    "load",
    "parse",
]
