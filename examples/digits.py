"""Train a two-layer net on handwritten digits with numerical gradients alone.

The net is that of chapter 4 of *Deep Learning from Scratch*. Run it with ``python examples/digits.py``: it takes about
20 seconds on one core, prints the accuracy before and after, and draws the loss and the gradient of W1 to digits.png.
"""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl
import numpy as np
from sklearn.datasets import load_digits
from tqdm.auto import trange

import anygrad

mpl.use("Agg")
import matplotlib.pyplot as plt

HIDDEN, STEPS, BATCH, RATE = 8, 150, 100, 1.5
PICTURE = Path(__file__).with_name("digits.png")


class TwoLayerNet:
    """Sigmoid, softmax and cross-entropy, as in the book."""

    def __init__(self, inputs: int, hidden: int, outputs: int, rng: np.random.Generator) -> None:
        self.params = {
            "W1": rng.normal(scale=0.3, size=(inputs, hidden)),
            "b1": np.zeros(hidden),
            "W2": rng.normal(scale=0.3, size=(hidden, outputs)),
            "b2": np.zeros(outputs),
        }

    def hidden(self, x: np.ndarray) -> np.ndarray:
        return 1 / (1 + np.exp(-(x @ self.params["W1"] + self.params["b1"])))

    def predict(self, x: np.ndarray) -> np.ndarray:
        scores = self.hidden(x) @ self.params["W2"] + self.params["b2"]
        e = np.exp(scores - scores.max(axis=1, keepdims=True))
        return e / e.sum(axis=1, keepdims=True)

    def loss(self, x: np.ndarray, t: np.ndarray) -> float:
        return -np.mean(np.log(self.predict(x)[np.arange(len(t)), t]))

    def accuracy(self, x: np.ndarray, t: np.ndarray) -> float:
        return np.mean(self.predict(x).argmax(axis=1) == t)

    def numerical_gradient(self, x: np.ndarray, t: np.ndarray) -> dict[str, np.ndarray]:
        """Return the gradient by all parameters at once. The loss reads them from self: x and t stay as they are."""
        return anygrad.numerical_gradient(lambda _: self.loss(x, t), self.params)

    def backpropagation(self, x: np.ndarray, t: np.ndarray) -> dict[str, np.ndarray]:
        """Return the same gradient, derived by hand."""
        hidden = self.hidden(x)
        scores = (self.predict(x) - np.eye(10)[t]) / len(t)
        below = scores @ self.params["W2"].T * hidden * (1 - hidden)
        return {"W1": x.T @ below, "b1": below.sum(0), "W2": hidden.T @ scores, "b2": scores.sum(0)}


def draw(losses: list[float], gradient: np.ndarray) -> None:
    """Draw the loss, and the gradient with respect to the weights of each hidden unit, as an image of 8 x 8 pixels."""
    mosaic = [["loss", *range(4)], ["loss", *range(4, 8)]]
    figure, axes = plt.subplot_mosaic(mosaic, figsize=(11, 4), width_ratios=[2.4, 1, 1, 1, 1], layout="constrained")
    axes["loss"].plot(losses)
    axes["loss"].set(title="training with numerical gradients alone", xlabel="step", ylabel="loss (cross-entropy)")
    largest = np.abs(gradient).max()
    for unit in range(HIDDEN):
        image = axes[unit].imshow(gradient[:, unit].reshape(8, 8), cmap="RdBu_r", vmin=-largest, vmax=largest)
        axes[unit].set(title=f"hidden unit {unit}", xticks=[], yticks=[])
        axes[unit].title.set_fontsize(9)
    bar = figure.colorbar(image, ax=[axes[unit] for unit in range(HIDDEN)], shrink=0.8)
    bar.set_label("gradient of the loss, before training")
    figure.savefig(PICTURE, dpi=120)


def main() -> None:
    rng = np.random.default_rng(0)
    digits = load_digits()
    order = rng.permutation(len(digits.target))
    x, t = digits.data[order] / 16, digits.target[order]
    x_train, t_train, x_test, t_test = x[:1500], t[:1500], x[1500:], t[1500:]

    net = TwoLayerNet(64, HIDDEN, 10, rng)
    size = sum(p.size for p in net.params.values())
    print(f"{size} parameters, {2 * size} evaluations of the loss for each of {STEPS} steps")
    print(f"accuracy on unseen digits before training: {net.accuracy(x_test, t_test):.1%}")

    first = net.numerical_gradient(x_train[:BATCH], t_train[:BATCH])
    by_hand = net.backpropagation(x_train[:BATCH], t_train[:BATCH])
    for name, gradient in first.items():
        print(f"mean |backpropagation - numerical|, {name}: {np.mean(np.abs(by_hand[name] - gradient)):.1e}")

    losses = []
    for _ in trange(STEPS, unit="step", desc="training"):
        batch = rng.integers(len(x_train), size=BATCH)
        gradient = net.numerical_gradient(x_train[batch], t_train[batch])
        for name in net.params:
            net.params[name] -= RATE * gradient[name]
        losses.append(net.loss(x_train, t_train))

    print(f"accuracy on unseen digits after training:  {net.accuracy(x_test, t_test):.1%}")
    draw(losses, first["W1"])
    print(f"loss curve and gradient of W1: {PICTURE}")


if __name__ == "__main__":
    main()
