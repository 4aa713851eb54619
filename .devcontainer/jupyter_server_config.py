"""Let the pages of this codespace, and of no other, reach its JupyterLab."""

import os
import re

c = get_config()  # noqa: F821

if os.environ.get("CODESPACES") == "true":
    name = re.escape(os.environ["CODESPACE_NAME"])
    domain = re.escape(
        os.environ.get(
            "GITHUB_CODESPACES_PORT_FORWARDING_DOMAIN", "app.github.dev"
        )
    )
    c.ServerApp.allow_origin_pat = rf"^https://{name}-\d+\.{domain}$"
