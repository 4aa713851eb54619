"""Build a network anew: the same one, or one with fewer units."""

import tempfile

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
    changes, keeps = changes or {}, {}
    if kept is not None:
        found = trace(model)
        changes = {id(s.layer): s.changes(kept) for s in found.steps}
        for label in found.labels:
            axes = keeps.setdefault(id(label.variable), [])
            axes.append((label.axis, kept[label.units]))
    twins, initializers = {}, []
    copy = _built(model, twins, changes, initializers)
    for layer, name, initializer in initializers:
        setattr(layer, name, initializer)
    values = {id(variable): value for variable, value in values}
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

    if isinstance(model, keras.Sequential):
        layers = [_same_input(model.inputs[0]), *map(twin, model.layers)]
        return keras.Sequential(layers, name=model.name)
    inputs = keras.tree.map_structure(_same_input, model._inputs_struct)
    outputs = model._run_through_graph(inputs, operation_fn=twin)
    return keras.Model(inputs, outputs, name=model.name)


def _same_input(tensor):
    name = tensor._keras_history.operation.name
    return keras.Input(batch_shape=tensor.shape, dtype=tensor.dtype, name=name)


def _same_layer(layer, changes):
    """A new layer of the same configuration, apart from `changes`.

    Functions that it holds are alive here, whether or not Keras knows them.
    What has no weights and cannot be made anew is used again.
    """
    functions = {
        value.__name__: value
        for value in vars(layer).values()
        if callable(value) and hasattr(value, "__name__")
    }
    try:
        with keras.saving.custom_object_scope(functions):
            return type(layer).from_config({**layer.get_config(), **changes})
    except Exception as error:  # whatever a reader's layer does
        if not layer.weights:
            return layer
        raise ValueError(
            f"Layer {layer.name!r} ({type(layer).__name__}) cannot be made "
            f"anew from its configuration ({error}). Give it a `get_config` "
            "that returns all arguments of its `__init__`."
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
