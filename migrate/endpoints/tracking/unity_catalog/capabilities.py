"""What a workspace takes whose registered models are in Unity Catalog (``databricks-uc``)."""

from __future__ import annotations

import dataclasses

from migrate.endpoints.answers import Capabilities
from migrate.endpoints.tracking.http.session import CONNECT_TRIES, HttpSession
from migrate.endpoints.tracking.unity_catalog.registered_models import LEVELS
from migrate.endpoints.tracking.unity_catalog.storage import MODELS
from migrate.endpoints.tracking.unity_catalog.tags import LONGEST_TAG, REFUSED_IN_TAGS
from migrate.errors import EndpointError, NoSuchRoute, NotFound, Refused


def ask_catalog(workspace: Capabilities, registry: HttpSession) -> Capabilities:
    """Connect to a catalog; return what a workspace with it takes. Raises ``EndpointError``."""
    try:
        registry.get(f"{MODELS}/search", {"max_results": 1}, tries=CONNECT_TRIES)
    except (NoSuchRoute, NotFound, Refused) as problem:
        raise EndpointError(
            f"the {registry.side} at {registry.base_url} shows no Unity Catalog: {problem}",
            "is the workspace attached to a metastore? Else use the registry URI databricks",
        ) from None
    return dataclasses.replace(
        workspace,
        description=f"{workspace.description}, registered models in Unity Catalog",
        identity=f"{workspace.identity}#{registry.base_url}#uc",
        model_tag_length=LONGEST_TAG,
        version_tag_length=LONGEST_TAG,
        stages=False,
        name_levels=LEVELS,
        refused_in_model_tags=REFUSED_IN_TAGS,
    )
