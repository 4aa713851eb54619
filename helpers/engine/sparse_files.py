"""LiteRT's sparse files: open them so that they are right, or refuse them."""

import importlib.metadata

import numpy as np

from helpers.engine.steps import PROBE
from helpers.engine.tracing import trace

MOST_INPUTS = 255 * 16  # of sparse integers: blocks are counted in a byte


def interpreter(content):
    """Without the default delegate (XNNPACK) if integers are sparse in it."""
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    common = {"model_content": content, "num_threads": 1}
    plain = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    without = Interpreter(experimental_op_resolver_type=plain, **common)
    integers = any(
        tensor["dtype"] == np.int8 and tensor["sparsity_parameters"]
        for tensor in without.get_tensor_details()
    )
    return without if integers else Interpreter(**common)


def require_right(model, kind, sparse, dense):
    """Refuse a sparse file that is further from `model` than the dense one.

    By more than twice, for random inputs. Both files are functions.
    """
    entry = model.inputs[0]
    shape = [PROBE if size is None else size for size in entry.shape[1:]]
    x = 2 * np.random.default_rng(0).random((100, *shape))
    said = [file(x.astype(entry.dtype)) for file in (sparse, dense)]
    expected = np.asarray(model(x.astype(entry.dtype), training=False))
    gaps = [np.abs(outputs - expected).max() for outputs in said]
    gap, usual = gaps / (np.abs(expected).max() or 1)
    if not gap <= 2 * usual + 1e-5:  # nor NaN
        _refuse(model, kind, gap, usual)


def _refuse(model, kind, gap, usual):
    size = 4 if kind == "float" else 16
    kernels = trace(model).some_kernels(include_output=True)
    inputs = {name: kernel.shape[-2] for name, kernel in kernels.items()}
    odd = {k: n for k, n in inputs.items() if n % size or n > MOST_INPUTS}
    version = importlib.metadata.version("ai-edge-litert")
    raise ValueError(
        f"The sparse file ({kind}) of model {model.name!r} is off by {gap:.2g} "
        f"of its largest output, the dense one by {usual:.2g}: LiteRT "
        f"{version} computes blocks of {size} inputs wrongly where a layer's "
        f"inputs are no multiple of {size}, or more than {MOST_INPUTS:,}; here "
        f"{odd or 'none'}. Pass a model of other widths, or `sparse=False`."
    )
