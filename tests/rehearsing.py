"""A strategy on a tiny benchmark, and a plugin that writes down what it trains on."""

import torch
from avalanche.core import SupervisedPlugin

from clbench.config import Training
from clbench.networks import build_network
from clbench.strategies.template import SegmentationStrategy

RECIPE = Training(
    steps=3,
    batch_size=2,
    learning_rate=0.05,
    momentum=0.9,
    weight_decay=0.0,
    poly_power=0.9,
    gradient_clip=12.0,
    augment=True,
    deep_supervision=False,
    base_features=4,
    max_features=8,
    overlap=0.5,
)


class Watch(SupervisedPlugin):
    """Batches as the network sees them, losses, and gradients just before the update."""

    def __init__(self):
        super().__init__()
        self.batches, self.losses, self.gradients = [], [], []

    def after_forward(self, strategy, **_):
        self.batches.append((strategy.mb_x.clone(), strategy.mb_y.clone()))

    def before_backward(self, strategy, **_):
        self.losses.append(strategy.loss.item())

    def before_update(self, strategy, **_):
        gradients = [
            parameter.grad.flatten() for parameter in strategy.model.parameters() if parameter.grad is not None
        ]
        self.gradients.append(torch.cat(gradients).clone())


def make_strategy(benchmark, plugins, *, classes=None, deep_supervision=False, network="unet", **recipe):
    """A strategy with its network, on the processor; the head starts with the classes of the first experience."""
    first = benchmark.train_stream[0]
    plan = first.sampling.plan

    def build(count):
        return build_network(
            network,
            plan=plan,
            in_channels=1,
            classes=count,
            base_features=4,
            max_features=8,
            deep_supervision=deep_supervision,
            seed=0,
        )

    return SegmentationStrategy(
        network=build(classes or first.classes),
        fresh_network=build,
        recipe=RECIPE.model_copy(update=recipe),
        seed=0,
        device=torch.device("cpu"),
        precision="float32",
        plugins=plugins,
    )


def train(benchmark, plugins, **options):
    """Train through the benchmark; returns the strategy and what was watched."""
    watch = Watch()
    strategy = make_strategy(benchmark, {**plugins, "watch": watch}, **options)
    for experience in benchmark.train_stream:
        strategy.train_task(experience)
    return strategy, watch
