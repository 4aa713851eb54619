"""Laws of deploying: a file says what its model says, wherever it is run."""

import sys

import numpy as np
import pytest

from helpers import deploying, measuring, networks, pruning
from helpers.engine.backend import keras

# What readers take home


def by_hand(path, images):
    import numpy as np
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_path=path, num_threads=1)
    entry = interpreter.get_input_details()[0]["index"]
    interpreter.resize_tensor_input(entry, images.shape)
    interpreter.allocate_tensors()
    interpreter.set_tensor(entry, images)
    interpreter.invoke()
    exit_ = interpreter.get_output_details()[0]["index"]
    return np.argmax(interpreter.get_tensor(exit_), axis=-1)


def needs_keras(path, images):
    import keras

    return keras.ops.argmax(images)


def needs_tensorflow(path, images):
    import tensorflow.lite

    return tensorflow.lite


def says_who_is_here(path, images):
    import sys

    import numpy as np

    hidden = [n for n in ("keras", "helpers", "scipy") if n in sys.modules]
    return np.array([*hidden, *[p for p in sys.path if p == ""]])


@pytest.fixture(scope="module")
def files(split, trained_weights):
    model = networks.mlp(widths=(32, 24, 16))
    model.set_weights(trained_weights)
    images = {"full int8": split.x_train[:100]}
    return {
        kind: deploying.convert(model, kind, images.get(kind))
        for kind in deploying.KINDS
    }


def test_the_float_file_gives_the_models_logits(files, trained, split):
    expected = np.array(trained(split.x_test))
    gap = np.abs(deploying.runner(files["float"], split.x_test)() - expected)
    assert gap.max() <= 1e-4


@pytest.mark.parametrize("kind", ["dynamic int8", "full int8"])
def test_integers_come_close_to_the_logits(files, trained, split, kind):
    expected = np.array(trained(split.x_test))
    gap = np.abs(deploying.runner(files[kind], split.x_test)() - expected)
    assert 1e-4 < gap.max() < 0.1 * np.ptp(expected)


def test_integers_take_a_byte_per_weight_instead_of_four(trained):
    wide = networks.mlp(widths=(300,))
    sizes = [
        len(deploying.convert(wide, kind)) for kind in ("float", "dynamic int8")
    ]
    weights = sum(measuring.macs_per_layer(wide).values())
    assert sizes[0] - sizes[1] == pytest.approx(3 * weights, rel=0.02)


def test_the_calibration_set_decides_the_scales_of_activations(trained, split):
    """A calibration set that is 255 times too bright spoils the file."""
    bright = 255 * split.x_train[:100]
    spoiled = deploying.convert(trained, "full int8", bright)
    right = deploying.convert(trained, "full int8", split.x_train[:100])
    scores = [
        measuring.accuracy(file, split.x_test, split.y_test)
        for file in (spoiled, right)
    ]
    assert scores[0] < 0.5 < scores[1] - 0.1


def test_inputs_and_outputs_stay_floats(files, split):
    for file in files.values():
        assert deploying.runner(file, split.x_test[:3])().dtype == np.float32


def test_conversion_leaves_the_model_as_it_is(trained, split):
    before = [w.copy() for w in trained.get_weights()]
    deploying.convert(trained, "full int8", split.x_train[:10])
    assert all(map(np.array_equal, before, trained.get_weights()))
    assert not trained.compiled


def test_zeros_stay_zeros_in_integers(trained, split):
    """A network without a living unit says its last bias, in any kind."""
    for layer in trained.layers[:-1]:
        layer.set_weights([np.zeros(w.shape) for w in layer.get_weights()])
    bias = trained.layers[-1].bias.numpy()
    for kind in ("float", "dynamic int8"):
        file = deploying.convert(trained, kind)
        outputs = deploying.runner(file, split.x_test[:2])()
        assert np.abs(outputs - bias).max() <= 1e-6


# Where nothing else is installed


def test_alone_the_same_is_predicted(files, split):
    x = split.x_test[:50]
    for file in files.values():
        answer, imported = deploying.run_alone(by_hand, file, x)
        assert np.array_equal(answer, measuring.predictions(file, x))
        assert imported == ["ai_edge_litert", "numpy"]


@pytest.mark.parametrize("function", [needs_keras, needs_tensorflow])
def test_alone_nothing_else_can_be_imported(files, split, function):
    name = function.__name__.removeprefix("needs_")
    with pytest.raises(ValueError, match=f"alone: ImportError: '{name}' is no"):
        deploying.run_alone(function, files["float"], split.x_test[:2])


def test_alone_nothing_of_this_process_is_seen(files, split, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", ":".join(sys.path))
    answer, _ = deploying.run_alone(
        says_who_is_here, files["float"], split.x_test[:2]
    )
    assert answer.tolist() == []


def test_a_broken_file_is_told_from_a_broken_function(files, split):
    with pytest.raises(ValueError, match="by_hand` failed alone"):
        deploying.run_alone(by_hand, b"no model", split.x_test[:2])


# Keras' own


def test_keras_integers_are_a_copy_with_the_same_zeros(trained, split):
    pruned = pruning.prune_weights(trained, 0.9)
    small = deploying.keras_int8(pruned)
    for one, other in zip(pruned.layers, small.layers, strict=True):
        values = np.array(other.get_weights()[1])
        assert values.dtype == np.int8
        assert (values[one.kernel.numpy() == 0] == 0).all()
    assert pruned.layers[0].kernel.dtype == "float32"
    assert measuring.cost(small).bytes < 0.6 * measuring.cost(pruned).bytes


def test_what_the_converter_refuses_is_said_with_versions(trained):
    """Keras 3.15's int8 layers multiply in a way LiteRT's do not."""
    small = deploying.keras_int8(trained)
    with pytest.raises(
        ValueError, match=r"by TensorFlow 2.* with Keras 3"
    ) as e:
        deploying.convert(small)
    assert "'mlp' cannot be converted to LiteRT (float)" in str(e.value)
    assert 'converted before, as "full int8"' in str(e.value)


# Bad input


def test_an_unknown_kind_is_refused(trained):
    with pytest.raises(ValueError, match="'int4'; pass one of float, dynamic"):
        deploying.convert(trained, "int4")


def test_calibration_images_are_for_full_int8_only(trained, split):
    with pytest.raises(ValueError, match="needs them; got none"):
        deploying.convert(trained, "full int8")
    with pytest.raises(ValueError, match=r"got shape \(9, 784\) for 'float'"):
        deploying.convert(trained, "float", split.x_train[:9])


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (np.zeros((5, 28, 28)), r"shape \(5, 28, 28\); the model takes"),
        (np.zeros((0, 784)), r"shape \(0, 784\)"),
        (np.full((5, 784), np.nan), "NaN or infinite"),
    ],
)
def test_calibration_images_fit_the_model(trained, images, message):
    with pytest.raises(ValueError, match=message):
        deploying.convert(trained, "full int8", images)


def test_other_bytes_are_no_file(split):
    with pytest.raises(ValueError, match="LiteRT file, got bytes b"):
        deploying.runner(b"no model", split.x_test)


def test_rows_of_another_shape_are_refused(files, split):
    rows = split.x_test[:, :100]
    with pytest.raises(ValueError, match=r"rows of shape \(784,\); got \(100,"):
        deploying.runner(files["float"], rows)


def test_a_model_without_shapes_is_refused():
    with pytest.raises(ValueError, match="has no weights yet"):
        deploying.convert(keras.Sequential([keras.layers.Dense(3)]))
