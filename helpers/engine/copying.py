"""Build a network anew: the same one, or one with fewer units."""

import tempfile
import types

import numpy as np

from helpers.engine.backend import keras, view
from helpers.engine.tracing import is_graph, trace


def rebuild(model, kept=None, values=(), changes=None):
    """A new model of new layers with the weights and state of `model`.

    It is a Sequential or functional model as `model` is, and not compiled.

    Args:
        kept: from unit number (see `channels`) to whether it stays.
        values: pairs of a variable and what it is to hold instead, before
            units are cut out of it.
        changes: from the `id` of a layer to what differs in its configuration.
    """
    changes, keeps, sizes = changes or {}, {}, {}
    if kept is not None:
        found = trace(model)
        changes = {id(s.layer): s.changes(kept) for s in found.steps}
        sizes = {x: int(kept[u].sum()) for x, u in found.entries.items()}
        for label in found.labels:
            axes = keeps.setdefault(id(label.variable), [])
            axes.append((label.axis, kept[label.units]))
    twins, initializers = {}, []
    copy = _built(model, twins, {**changes, **sizes}, initializers)
    for layer, name, initializer in initializers:
        setattr(layer, name, initializer)
    values = {id(variable): value for variable, value in values}
    _refuse_sharing([old for old, _ in twins.values() if not is_graph(old)])
    for old, new in twins.values():
        _carry_over(old, new, keeps, values)
    return copy


def _built(model, twins, changes, initializers):
    """A model of new layers; `twins` gets each with the old, by its `id`."""

    def twin(layer):
        if not isinstance(layer, keras.layers.Layer):
            return layer  # an operation has no state
        if id(layer) not in twins:
            if is_graph(layer):
                new = _built(layer, twins, changes, initializers)
            else:
                new = _same_layer(layer, changes.get(id(layer), {}))
                initializers.extend(_without_initial_weights(new))
            twins[id(layer)] = layer, new
        return twins[id(layer)][1]

    def entry(tensor):
        *before, last = tensor.shape
        shape = (*before, changes.get(id(tensor)) or last)
        name = tensor._keras_history.operation.name
        return keras.Input(batch_shape=shape, dtype=tensor.dtype, name=name)

    if isinstance(model, keras.Sequential):
        layers = [entry(model.inputs[0]), *map(twin, model.layers)]
        return keras.Sequential(layers, name=model.name)
    inputs = keras.tree.map_structure(entry, model._inputs_struct)
    outputs = model._run_through_graph(inputs, operation_fn=twin)
    return keras.Model(inputs, outputs, name=model.name)


def _refuse_sharing(layers):
    """What two layers have together, each would have alone in a copy."""
    owners = {}
    for layer in layers:
        for weight in layer.weights:
            if owners.setdefault(id(weight), layer) is not layer:
                raise ValueError(
                    f"{weight.path!r} is a weight of {layer.name!r} and of "
                    f"{owners[id(weight)].name!r}, too. Pass a model in "
                    "which one layer is called twice instead."
                )


def _same_layer(layer, changes):
    """A new layer of the same configuration, apart from `changes`.

    Functions that it holds are alive here, whether or not Keras knows them.
    What has no weights and cannot be made anew is used again.
    """
    parts = [*layer._flatten_layers()]
    held = [value for part in parts for value in vars(part).values()]
    alive = {
        value.__name__: value
        for value in (*map(type, parts), *held)
        if isinstance(value, type | types.FunctionType)
    }
    try:
        config = layer.get_config()
        functions = {
            key: value
            for key, value in vars(layer).items()
            if key in config and isinstance(value, types.FunctionType)
        }
        with keras.saving.custom_object_scope(alive):
            return type(layer).from_config({**config, **functions, **changes})
    except Exception as error:  # whatever a reader's layer does
        if not layer.weights:
            return layer
        raise ValueError(
            f"Layer {layer.name!r} ({type(layer).__name__}) cannot be made "
            f"anew from its configuration ({error!s:.99}). Give it a "
            "`get_config` that returns all arguments of its `__init__`."
        ) from error


def _without_initial_weights(layer):
    """Let a layer start from zeros: random weights take longest of all."""
    found = [
        (part, name, value)
        for part in layer._flatten_layers()
        for name, value in vars(part).items()
        if name.endswith("_initializer")
        and isinstance(value, keras.initializers.Initializer)
    ]
    for part, name, _ in found:
        setattr(part, name, keras.initializers.Zeros())
    return found


def _carry_over(old, new, keeps, values):
    """Weights and other state, by the layers' own means; cut where asked."""
    if is_graph(old) or old is new:
        return
    pairs = zip(old._flatten_layers(), new._flatten_layers(), strict=True)
    for one, other in pairs:
        store = {}
        one.save_own_variables(store)
        for key, variable in store.items():
            if id(variable) in keeps or id(variable) in values:
                array = values.get(id(variable), view(variable))
                for axis, stay in keeps.get(id(variable), ()):
                    array = np.compress(stay, array, axis)
                store[key] = array
        if store:
            other.load_own_variables(store)
        if hasattr(one, "save_assets"):  # vocabularies
            with tempfile.TemporaryDirectory() as folder:
                one.save_assets(folder)
                other.load_assets(folder)
