"""Build a network anew: the same one, or one with fewer units."""

import functools
import tempfile
import types

import numpy as np

from helpers.engine.backend import keras, view
from helpers.engine.tracing import is_graph, trace

Initializer = keras.initializers.Initializer


def rebuild(model, kept=None, values=(), changes=None):
    """A new model of new layers with the weights and state of `model`.

    It is a Sequential or functional model as `model` is, and not compiled.

    Args:
        kept: from unit number (see `channels`) to whether it stays.
        values: pairs of a variable and what it is to hold instead, before
            units are cut out of it.
        changes: from the `id` of a layer to what differs in its configuration.
    """
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
        return keras.Sequential(layers, name=model.name)
    inputs = keras.tree.map_structure(entry, model._inputs_struct)
    outputs = model._run_through_graph(inputs, operation_fn=twin)
    return keras.Model(inputs, outputs, name=model.name)


def _entry(tensor, stays):
    """A new input in place of a model's own."""
    shape = list(tensor.shape)
    for axis, stay in stays.get(id(tensor), {}).items():
        shape[axis] = int(stay.sum()) or shape[axis]
    name = tensor._keras_history.operation.name
    return keras.Input(batch_shape=shape, dtype=tensor.dtype, name=name)


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

    What has no weights and cannot be made anew is used again. Weights start
    from zeros: random ones take longest of all.
    """
    try:
        with keras.saving.custom_object_scope(_alive(layer)):
            new = type(layer).from_config(_config(layer) | changes)
    except Exception as error:  # whatever a reader's layer does
        if not layer.weights:
            return layer
        raise ValueError(
            f"Layer {layer.name!r} ({type(layer).__name__}) cannot be made "
            f"anew from its configuration ({error!s:.99}). Give it a "
            "`get_config` that returns all arguments of its `__init__`."
        ) from error
    for part in new._flatten_layers():
        zeros = dict.fromkeys(_initializers(part), keras.initializers.Zeros())
        vars(part).update(zeros)
    return new


def _alive(layer):
    """Classes and functions that it holds, whether or not Keras knows them."""
    parts = layer._flatten_layers()
    held = [x for part in parts for x in (type(part), *vars(part).values())]
    kinds = type | types.FunctionType
    return {x.__name__: x for x in held if isinstance(x, kinds)}


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
        vars(other).update(_initializers(one))
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
