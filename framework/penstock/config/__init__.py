"""Configuration: `penstock.yaml`, then `PENSTOCK_*` variables, then flags; every value knows where it came from."""

from penstock.config.finding import CONFIG_NAME, find_config
from penstock.config.model import Config, Setting, TargetConfig, WorkspaceDocument, workspace_schema
from penstock.config.oidc import OidcIssuer, OidcScope, is_loopback, url_problem
from penstock.config.reading import load_config
from penstock.config.server import DOORS, ServerOptions, ServerSetting, server_options, server_settings
from penstock.config.structuring import (
    ConfiguredTarget,
    build_plugin,
    build_target,
    frozen_options,
    identity_of,
    plugin_place,
    target_config,
)

__all__ = [
    "CONFIG_NAME",
    "DOORS",
    "Config",
    "ConfiguredTarget",
    "OidcIssuer",
    "OidcScope",
    "ServerOptions",
    "ServerSetting",
    "Setting",
    "TargetConfig",
    "WorkspaceDocument",
    "build_plugin",
    "build_target",
    "find_config",
    "frozen_options",
    "identity_of",
    "is_loopback",
    "load_config",
    "plugin_place",
    "server_options",
    "server_settings",
    "target_config",
    "url_problem",
    "workspace_schema",
]
