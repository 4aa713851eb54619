#!/usr/bin/env bash
# Runs once, when a codespace or its prebuild is created.
set -eu
cd "$(dirname "$0")/.."

# Inside the workspace, where the kernel picker finds it by itself.
conda env create --yes --file environment.yml --prefix ./.conda

# "Open in JupyterLab" looks for `jupyter` on the PATH; conda's bin is there.
conda_bin=$(cd "$(dirname "$(command -v conda)")/../bin" && pwd)
ln -sf "$PWD/.conda/bin/jupyter" "$conda_bin/jupyter"
mkdir -p ~/.jupyter
cp .devcontainer/jupyter_server_config.py ~/.jupyter/
