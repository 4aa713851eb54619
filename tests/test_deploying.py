"""Laws of deploying: a file says what its model says, wherever it is run."""

import concurrent.futures
import functools
import importlib.metadata
import os
import sys
import tempfile

import numpy as np
import pytest

from helpers import (
    deploying,
    masking,
    measuring,
    networks,
    pruning,
    training,
)
from helpers.engine.backend import keras, tf

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


# Sparse files


def in_blocks(widths, size, sparsity=0.9, inputs=784):
    """A network whose kernels have whole blocks of zeros."""
    model = networks.mlp(widths, inputs=inputs)
    kernels = pruning.prunable_kernels(model)
    return pruning.masked(model, masking.block_masks(kernels, sparsity, size))


def gap(file, model, x):
    """Of the largest output."""
    expected = np.array(model(x))
    return np.abs(file(x) - expected).max() / np.abs(expected).max()


@pytest.mark.parametrize(
    ("kind", "size", "smaller", "off"),
    [
        ("float", 1, 4, 1e-5),
        ("float", 4, 6, 1e-5),
        ("dynamic int8", 16, 4, 0.05),
        ("dynamic int8", 1, 1.5, 0.05),
        ("full int8", 16, 4, 0.1),
    ],
)
def test_a_sparse_file_is_smaller_and_right(split, kind, size, smaller, off):
    model, x = in_blocks((256, 128), size), split.x_train[:100]
    images = x if kind == "full int8" else None
    dense, sparse = (
        deploying.convert(model, kind, images, sparse=chosen)
        for chosen in (False, True)
    )
    assert len(dense) > smaller * len(sparse)
    assert gap(deploying.File(sparse), model, split.x_test) < off


def test_sixteen_integers_are_kept_from_the_delegate(split, by_default):
    """And go wrong in it: this test tells when LiteRT has been repaired."""
    model = in_blocks((256, 128), 16)
    file = deploying.convert(model, "dynamic int8", sparse=True)
    assert "DELEGATE" not in deploying.File(file).operators()
    assert "DELEGATE" in deploying.File(deploying.convert(model)).operators()
    wrong = functools.partial(by_default, file)
    assert gap(wrong, model, split.x_test) > 1
    assert gap(deploying.File(file), model, split.x_test) < 0.05


@pytest.mark.parametrize(
    ("kind", "size", "widths", "inputs", "words"),
    [
        ("dynamic int8", 16, (40, 64), 784, "{'hidden_2': 40}"),
        ("float", 4, (1001, 64), 784, "{'hidden_2': 1001}"),
        ("dynamic int8", 16, (64, 64), 8192, "{'hidden_1': 8192}"),
    ],
)
def test_a_sparse_file_that_litert_computes_wrongly_is_refused(
    kind, size, widths, inputs, words
):
    model = in_blocks(widths, size, sparsity=0.8, inputs=inputs)
    version = importlib.metadata.version("ai-edge-litert")
    with pytest.raises(ValueError, match=f"LiteRT {version} computes") as error:
        deploying.convert(model, kind, sparse=True)
    assert f"here {words}. Pass" in str(error.value)
    deploying.convert(model, kind)


def test_sparsity_is_compared_for_one_input_and_one_output():
    x = [keras.Input((4,)), keras.Input((4,))]
    model = keras.Model(x, keras.layers.Concatenate()(x))
    with pytest.raises(ValueError, match="2 inputs and 1 outputs"):
        deploying.convert(model, sparse=True)


def test_blocks_are_held_and_converted_after_retraining(split):
    model = in_blocks((64, 32), 4)
    masks = pruning.masks_of(model)
    tuned = training.fine_tune(model, split, num_steps=20)
    for name, mask in pruning.masks_of(tuned).items():
        assert np.array_equal(mask, masks[name])
    assert not np.array_equal(tuned.get_weights()[0], model.get_weights()[0])
    file = deploying.File(deploying.convert(tuned, sparse=True))
    assert gap(file, tuned, split.x_test) < 1e-5


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


# Files of any origin


def of_integers(model, images, dtype):
    """A file that takes and gives integers, as other people's may."""
    with tempfile.TemporaryDirectory() as folder:
        model.export(folder, verbose=False)
        converter = tf.lite.TFLiteConverter.from_saved_model(folder)
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = lambda: ([x[None]] for x in images)
        kinds = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.target_spec.supported_ops = kinds
        converter.inference_input_type = dtype
        converter.inference_output_type = dtype
        return converter.convert()


@pytest.mark.parametrize("dtype", [tf.int8, tf.uint8])
def test_a_file_of_integers_is_fed_by_its_scale(trained, split, dtype):
    file = of_integers(trained, split.x_train[:100], dtype)
    expected = np.array(trained(split.x_test))
    outputs = deploying.File(file)(split.x_test)
    assert np.abs(outputs - expected).max() < 0.1 * np.ptp(expected)
    said = measuring.predictions(file, split.x_test)
    assert np.mean(said == expected.argmax(axis=1)) > 0.95


@pytest.mark.parametrize(
    "policy",
    ["mixed_float16", "float16", "mixed_bfloat16", "bfloat16", "float64"],
)
def test_other_floats_are_converted_from_a_copy(policy):
    keras.utils.set_random_seed(0)
    layers = [
        keras.layers.Dense(8, "relu", dtype=policy),
        keras.layers.Dense(3, dtype=policy),
    ]
    model = keras.Sequential([keras.Input((6,)), *layers])
    x = np.random.default_rng(0).random((40, 6), np.float32)
    expected = keras.ops.cast(model(x), "float32")
    gap = deploying.File(deploying.convert(model))(x) - expected
    assert np.abs(gap).max() < 0.03
    assert layers[0].compute_dtype == policy.removeprefix("mixed_")


def test_a_file_for_images_of_any_size_reads_them():
    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input((None, None, 2)),
            layers.Conv2D(4, 3),
            layers.GlobalAveragePooling2D(),
            layers.Dense(3),
        ]
    )
    file = deploying.File(deploying.convert(model))
    for size in (8, 5):
        x = np.random.default_rng(0).random((7, size, size, 2), np.float32)
        assert np.abs(file(x) - model(x)).max() < 1e-5


def test_calibration_rows_are_cast_to_what_the_model_takes():
    model = keras.Sequential(
        [
            keras.Input((5,), dtype="int32"),
            keras.layers.Embedding(9, 4),
            keras.layers.Flatten(),
            keras.layers.Dense(3),
        ]
    )
    x = np.random.default_rng(0).integers(0, 9, (40, 5)).astype("float64")
    file = deploying.convert(model, "full int8", x)
    outputs = np.array(model(x))
    gap = np.abs(deploying.File(file)(x) - outputs).max()
    assert gap < 0.1 * np.ptp(outputs)


@pytest.mark.parametrize("activation", [None, "sigmoid"])
@pytest.mark.parametrize("kind", deploying.KINDS)
def test_one_output_of_a_file_is_read_as_its_model_is(activation, kind):
    x = np.random.default_rng(0).normal(size=(60, 6)).astype("float32")
    model = keras.Sequential(
        [keras.Input((6,)), keras.layers.Dense(1, activation)]
    )
    images = x if kind == "full int8" else None
    file = deploying.File(deploying.convert(model, kind, images))
    assert file.gives_probabilities() == (activation == "sigmoid")
    expected = measuring.predictions(model, x)
    assert 0 < expected.sum() < 60
    assert np.mean(measuring.predictions(file, x) == expected) > 0.9


def test_a_convolution_takes_its_normalization_and_relu_with_it():
    file = deploying.File(deploying.convert(networks.lenet((2, 3), (4,))))
    shapes = "SHAPE", "STRIDED_SLICE", "PACK", "RESHAPE", "DELEGATE"
    assert [name for name in file.operators() if name not in shapes] == [
        "CONV_2D", "MAX_POOL_2D", "CONV_2D", "MAX_POOL_2D",
        "FULLY_CONNECTED", "FULLY_CONNECTED",
    ]  # fmt: skip


def test_threads_that_run_files_leave_the_streams_alone(files, split):
    before = [os.fstat(number).st_ino for number in (1, 2)]
    x = split.x_test[:2]
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        list(
            pool.map(
                lambda _: deploying.runner(files["float"], x)(), range(200)
            )
        )
    assert [os.fstat(number).st_ino for number in (1, 2)] == before


# Bad input


def test_what_litert_cannot_run_is_said_with_versions():
    model = keras.Sequential([keras.Input((5, 4)), keras.layers.LSTM(3)])
    with pytest.raises(
        ValueError, match=r"LiteRT \(float\) by TensorFlow 2.* with Keras 3"
    ):
        deploying.convert(model)


def test_several_inputs_are_converted_but_not_run():
    x = [keras.Input((2,)), keras.Input((3,))]
    model = keras.Model(x, keras.layers.Concatenate()(x))
    file = deploying.convert(model)
    with pytest.raises(ValueError, match="2 inputs and 1 outputs"):
        deploying.File(file)(np.zeros((4, 2)))


def test_calibration_images_are_for_full_int8_only(trained, split):
    with pytest.raises(ValueError, match="needs them; got none"):
        deploying.convert(trained, "full int8")
    with pytest.raises(ValueError, match=r"got shape \(9, 784\) for 'float'"):
        deploying.convert(trained, "float", split.x_train[:9])


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (
            np.zeros((5, 28, 28)),
            r"takes rows of shape \(784,\); got \(28, 28\)",
        ),
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
