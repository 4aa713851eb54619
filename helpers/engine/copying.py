"""Build a network anew: the same one, or one with fewer units."""

import contextlib
import functools
import tempfile
import types

import numpy as np

from helpers.engine.backend import is_stock, keras, view
from helpers.engine.tracing import is_graph, trace

Initializer = keras.initializers.Initializer
KNOWN = "keras", "builtins", "numpy", "tensorflow"  # whose names Keras knows
ADVICE = {  # by whether the layer is one of Keras'
    True: "Pass it functions of a module, each with a name of its own.",
    False: "Give it a `get_config` that returns all arguments of its "
    "`__init__`.",
}


def rebuild(model, kept=None, values=(), changes=None):
    """A new model of new layers with the weights and state of `model`.

    It is a Sequential or functional model as `model` is, and not compiled.

    Args:
        kept: from unit number (see `channels`) to whether it stays.
        values: pairs of a variable and what it is to hold instead, before
            units are cut out of it.
        changes: from the `id` of a layer to what differs in its configuration.
    """
    _refuse_borrowing(trace(model).steps)
    changes, stays = changes or {}, {}
    if kept is not None:
        found = trace(model)
        changes = {id(s.layer): s.changes(kept) for s in found.steps}
        for label in found.labels:
            axes = stays.setdefault(id(label.variable), {})
            axes[label.axis] = kept[label.units]
    twins = {}
    copy = _built(model, twins, changes, stays)
    values = {id(variable): value for variable, value in values}
    _refuse_sharing([old for old, _ in twins.values() if not is_graph(old)])
    for old, new in twins.values():
        if not (is_graph(old) or old is new):
            with _refusal(old):
                _carry_over(old, new, stays, values)
    return copy


def _built(model, twins, changes, stays):
    """A model of new layers; `twins` gets each with the old, by its `id`."""

    def twin(layer):
        if not isinstance(layer, keras.layers.Layer):
            return layer  # an operation has no state
        if id(layer) not in twins:
            if is_graph(layer):
                new = _built(layer, twins, changes, stays)
            else:
                new = _same_layer(layer, changes.get(id(layer), {}))
            twins[id(layer)] = layer, new
        return twins[id(layer)][1]

    entry = functools.partial(_entry, stays=stays)
    if isinstance(model, keras.Sequential):
        layers = [entry(model.inputs[0]), *map(twin, model.layers)]
        copy = keras.Sequential(layers, name=model.name)
    else:
        inputs = keras.tree.map_structure(entry, model._inputs_struct)
        outputs = model._run_through_graph(inputs, operation_fn=twin)
        copy = keras.Model(inputs, outputs, name=model.name)
    copy.dtype_policy = model.dtype_policy  # by which Keras scales the loss
    copy._trainable = model._trainable  # of its own; the setter tells layers
    return copy


def _entry(tensor, stays):
    """A new input in place of a model's own."""
    shape = list(tensor.shape)
    for axis, stay in stays.get(id(tensor), {}).items():
        shape[axis] = int(stay.sum()) or shape[axis]
    layer = tensor._keras_history.operation
    return keras.Input(
        batch_shape=shape, dtype=tensor.dtype, name=layer.name,
        sparse=tensor.sparse, optional=getattr(layer, "optional", False),
    )  # fmt: skip


def _refuse_borrowing(steps):
    """What a copy would use of the original itself, and change with it."""
    for step in steps:
        for weight in step.borrowed():
            raise ValueError(
                f"{step} uses {weight.name!r}, a weight of another layer, "
                "which a copy would share with the original. Pass a model in "
                "which a layer uses its own, called twice if need be."
            )


def _refuse_sharing(layers):
    """What two layers have together, each would have alone in a copy."""
    owners = {}
    for layer in layers:
        for weight in layer.weights:
            owner = owners.setdefault(id(weight), layer)
            if owner is not layer:
                raise ValueError(
                    f"{weight.path!r} is a weight of {layer.name!r} and of "
                    f"{owner.name!r}, too. Pass a model in which one layer is "
                    "called twice instead."
                )


def _same_layer(layer, changes):
    """A new layer of the same configuration, apart from `changes`.

    A reader's own layer without weights is used again, as it may know more
    than its configuration. Weights start from zeros: random ones take longest
    of all.
    """
    if not (is_stock(layer) or layer.weights or layer._flatten_layers()[1:]):
        return layer
    try:
        with _refusal(layer), keras.saving.custom_object_scope(_alive(layer)):
            new = type(layer).from_config(_config(layer) | changes)
    except ValueError:
        if layer.weights:
            raise
        return layer
    told = {"name": "name", "trainable": "trainable", "dtype": "dtype_policy"}
    for name, attribute in told.items():
        value = getattr(layer, attribute)
        if name not in changes and getattr(new, attribute) != value:
            setattr(new, attribute, value)
    for part in new._flatten_layers():
        zeros = dict.fromkeys(_initializers(part), keras.initializers.Zeros())
        vars(part).update(zeros)
    return new


@contextlib.contextmanager
def _refusal(layer):
    """Say of a layer that cannot be made anew why, and what to do."""
    try:
        yield
    except Exception as error:  # whatever a reader's layer does
        raise ValueError(
            f"Layer {layer.name!r} ({type(layer).__name__}) cannot be made "
            f"anew from its configuration ({error!s:.99}). "
            f"{ADVICE[is_stock(layer)]}"
        ) from error


def _alive(layer):
    """Classes and functions that it holds, where Keras need not know them."""
    found = {}
    for part in layer._flatten_layers():
        own = [x for k, x in vars(part).items() if not _is_method(part, k)]
        for x in (type(part), *own, *map(type, own)):
            known = str(getattr(x, "__module__", "")).split(".")[0] in KNOWN
            named = isinstance(x, type | types.FunctionType) and not known
            if named and found.setdefault(x.__name__, x) is not x:
                raise ValueError(f"it holds two {x.__name__!r}")
    return found


def _is_method(layer, name):
    """Some methods Keras wraps anew for each layer."""
    return isinstance(getattr(type(layer), name, None), types.FunctionType)


def _config(layer):
    """Its configuration, with the functions themselves."""
    config = layer.get_config()
    for key in config.keys() & vars(layer).keys():
        if isinstance(vars(layer)[key], types.FunctionType):
            config[key] = vars(layer)[key]
    return config


def _initializers(layer):
    """How its weights start, by attribute."""
    return {k: x for k, x in vars(layer).items() if isinstance(x, Initializer)}


def _carry_over(old, new, stays, values):
    """Weights and other state, by the layers' own means; cut where asked."""
    pairs = zip(old._flatten_layers(), new._flatten_layers(), strict=True)
    for one, other in pairs:
        weights = one.weights, other.weights
        cut = any(v.shape != w.shape for v, w in zip(*weights, strict=False))
        starts = {  # an array that no longer fits is none
            name: start
            for name, start in _initializers(one).items()
            if not (cut and np.ndim(vars(start).get("value")))
        }
        vars(other).update(starts)
        for theirs, ours in zip(*weights, strict=False):
            ours.trainable = theirs.trainable
        store = {}
        one.save_own_variables(store)
        for key, variable in store.items():
            if id(variable) in values or id(variable) in stays:
                array = values.get(id(variable), view(variable))
                for axis, stay in stays.get(id(variable), {}).items():
                    array = np.compress(stay, array, axis)
                store[key] = array
        if store:
            other.load_own_variables(store)
        if hasattr(one, "save_assets"):  # vocabularies
            with tempfile.TemporaryDirectory() as folder:
                one.save_assets(folder)
                other.load_assets(folder)
