"""The same work in other libraries; each function prepares, returns a call.

Runs in the peers' environment, without `helpers`. `folder` holds the arrays
that `bench.py` wrote: the network, its masks, the images and their order.
"""

import os
import pathlib

import numpy as np


def torch_masks(size):
    """`torch.nn.utils.prune` zeroes 90 % of one layer."""
    import torch
    from torch.nn.utils import prune

    weights = torch.from_numpy(random_weights(int(size)))

    def run():
        layer = torch.nn.Module()
        layer.weight = torch.nn.Parameter(weights)
        prune.l1_unstructured(layer, "weight", amount=round(0.9 * len(weights)))
        return len(weights) - int(layer.weight_mask.count_nonzero())

    return run


def torch_half_of_resnet():
    """Torch-Pruning cuts half of every group out of a copy."""
    model = torch_resnet()

    def run():
        small, groups = _halved(model)
        for group in groups:
            group.prune()
        return sum(weights.numel() for weights in small.parameters())

    return run


def torch_difference():
    """Of outputs to those with zeros instead, relative to the largest."""
    import torch

    masked = torch_resnet()
    small, groups = _halved(masked)
    names = {layer: name for name, layer in small.named_modules()}
    for group in groups:
        for part, units in group:
            name = names.get(part.target.module)
            if name and part.handler.__name__ == "prune_out_channels":
                for weights in masked.get_submodule(name).parameters():
                    weights.data[units] = 0
        group.prune()

    def run():
        images = torch.randn(8, 3, 64, 64)
        with torch.no_grad():
            given, expected = small(images), masked(images)
        return float((given - expected).abs().max() / expected.abs().max())

    return run


def _halved(model):
    """A copy, and the groups of what is to be cut out of it, one by one."""
    import copy

    import torch
    import torch_pruning

    small = copy.deepcopy(model)
    pruner = torch_pruning.BasePruner(
        small, torch.zeros(1, 3, 64, 64),
        torch_pruning.importance.GroupMagnitudeImportance(),
        pruning_ratio=0.5, ignored_layers=[small.fc],
    )  # fmt: skip
    return small, pruner.step(interactive=True)


def torch_resnet(depths=(3, 4, 6, 3)):
    """ResNet-50 with the biases and strides that it has in Keras.

    The statistics in its normalizations are random.
    """
    from torch import nn

    def convolution(inputs, filters, side, stride=1):
        return nn.Sequential(
            nn.Conv2d(inputs, filters, side, stride, padding=side // 2),
            nn.BatchNorm2d(filters, eps=1.001e-5, momentum=0.01),
        )

    class Block(nn.Module):
        def __init__(self, inputs, filters, stride, shortcut):
            super().__init__()
            self.first = convolution(inputs, filters, 1, stride)
            self.second = convolution(filters, filters, 3)
            self.third = convolution(filters, 4 * filters, 1)
            self.shortcut = nn.Identity()
            if shortcut:
                self.shortcut = convolution(inputs, 4 * filters, 1, stride)

        def forward(self, x):
            y = self.second(self.first(x).relu()).relu()
            return (self.third(y) + self.shortcut(x)).relu()

    class ResNet(nn.Module):
        def __init__(self):
            super().__init__()
            stem = convolution(3, 64, 7, 2)
            layers, inputs = [stem, nn.ReLU(), nn.MaxPool2d(3, 2, 1)], 64
            for stage, depth in enumerate(depths):
                for number in range(depth):
                    filters, first = 64 * 2**stage, number == 0
                    stride = 2 if first and stage else 1
                    layers.append(Block(inputs, filters, stride, first))
                    inputs = 4 * filters
            self.features = nn.Sequential(*layers)
            self.fc = nn.Linear(inputs, 1000)

        def forward(self, x):
            return self.fc(self.features(x).mean((2, 3)))

    model = ResNet().eval()
    for layer in model.modules():
        if isinstance(layer, nn.BatchNorm2d):
            for values in layer.state_dict().values():
                if values.ndim:
                    values.uniform_(0.5, 1.5)
    return model


def torch_fine_tuning(folder, fused=""):
    """`torch.nn.utils.prune` with our masks, and a plain loop with Adam."""
    import torch
    from torch.nn.utils import prune

    arrays = _arrays(folder)
    x, y = torch.from_numpy(arrays["x"]), torch.from_numpy(arrays["y"]).long()
    order = torch.from_numpy(arrays["order"])

    def network():
        layers = []
        for number, kernel in enumerate(_numbered(arrays, "kernel")):
            layer = torch.nn.Linear(*kernel.shape)
            with torch.no_grad():
                layer.weight.copy_(torch.from_numpy(kernel.T.copy()))
                layer.bias.copy_(torch.from_numpy(arrays[f"bias_{number}"]))
            if f"mask_{number}" in arrays:
                mask = torch.from_numpy(arrays[f"mask_{number}"].T.copy())
                prune.custom_from_mask(layer, "weight", mask)
            layers += [layer, torch.nn.ReLU()]
        return torch.nn.Sequential(*layers[:-1])

    def run():
        model = network()
        adam = torch.optim.Adam(
            model.parameters(), lr=1e-3, fused=bool(fused) or None
        )
        for rows in order:
            adam.zero_grad()
            loss = torch.nn.functional.cross_entropy(model(x[rows]), y[rows])
            loss.backward()
            adam.step()
        return loss.item()

    return run


def tfmot_fine_tuning(folder):
    """`prune_low_magnitude` at a constant 90 %; its zeros move with time."""
    os.environ["TF_USE_LEGACY_KERAS"] = "1"
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    import tf_keras
    from tensorflow_model_optimization.sparsity import keras as sparsity

    arrays = _arrays(folder)
    rows = arrays["order"].ravel()
    x, y = arrays["x"][rows], arrays["y"][rows]
    kernels = list(_numbered(arrays, "kernel"))
    layers = [tf_keras.layers.InputLayer(kernels[0].shape[0])]
    for kernel in kernels[:-1]:
        layer = tf_keras.layers.Dense(kernel.shape[1], activation="relu")
        layers.append(
            sparsity.prune_low_magnitude(
                layer, sparsity.ConstantSparsity(0.9, begin_step=0)
            )
        )
    layers.append(tf_keras.layers.Dense(kernels[-1].shape[1]))
    model = tf_keras.Sequential(layers)
    model.compile(
        tf_keras.optimizers.Adam(1e-3),
        tf_keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )

    def run():
        for number, layer in enumerate(model.layers):
            layer.trainable_weights[0].assign(kernels[number])
            layer.trainable_weights[1].assign(arrays[f"bias_{number}"])
        history = model.fit(
            x, y, batch_size=arrays["order"].shape[1], shuffle=False,
            verbose=0, callbacks=[sparsity.UpdatePruningStep()],
        )  # fmt: skip
        return history.history["loss"][-1]

    return run


def onnx_latency(folder, batch_size):
    """ONNX Runtime runs the network of `folder` on one thread."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    model = _onnx_of(_arrays(folder))
    session = onnxruntime.InferenceSession(model, options)
    (inputs,) = session.get_inputs()
    batch = np.random.default_rng(0).random(
        (int(batch_size), inputs.shape[1]), np.float32
    )

    def run():
        session.run(None, {inputs.name: batch})

    return run


def _onnx_of(arrays):
    """The bytes of a chain of Gemm and Relu."""
    from onnx import helper, numpy_helper, parser

    kernels = list(_numbered(arrays, "kernel"))
    first, last = kernels[0].shape[0], kernels[-1].shape[1]
    lines, value = [], "x"
    for number in range(len(kernels)):
        lines.append(f"s{number} = Gemm({value}, w{number}, b{number})")
        lines.append(f"h{number} = Relu(s{number})")
        value = f"h{number}"
    graph = parser.parse_graph(
        f"mlp (float[n, {first}] x) => (float[n, {last}] s{number}) "
        f"{{ {chr(10).join(lines[:-1])} }}"
    )
    for number, kernel in enumerate(kernels):
        bias = arrays[f"bias_{number}"]
        graph.initializer.append(numpy_helper.from_array(kernel, f"w{number}"))
        graph.initializer.append(numpy_helper.from_array(bias, f"b{number}"))
    model = helper.make_model(
        graph, ir_version=10, opset_imports=[helper.make_opsetid("", 20)]
    )
    return model.SerializeToString()


def random_weights(size):
    """Normal numbers with ties: rounded to three decimals."""
    random = np.random.default_rng(0)
    numbers = random.standard_normal(size, dtype=np.float32)
    return np.round(numbers, 3, out=numbers)


def _arrays(folder):
    return {
        path.stem: np.load(path) for path in pathlib.Path(folder).glob("*.npy")
    }


def _numbered(arrays, name):
    number = 0
    while f"{name}_{number}" in arrays:
        yield arrays[f"{name}_{number}"]
        number += 1
