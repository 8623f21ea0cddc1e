"""Strategies: how a model learns a stream. One file each; the registry imports them lazily."""

from __future__ import annotations

from clbench.strategies.spec import StrategySpec

STRATEGIES: dict[str, StrategySpec] = {
    "naive": StrategySpec("fine-tuning on task after task; forgets", reference=True),
    "joint": StrategySpec("one training on all tasks at once; the upper bound", regime="joint", reference=True),
    "cumulative": StrategySpec(
        "each stage trains on all tasks so far", plugin="clbench.strategies.cumulative:Cumulative", reference=True
    ),
    "single": StrategySpec(
        "a fresh network for each task; what a task alone can give",
        plugin="clbench.strategies.single:Single",
        regime="single",
        reference=True,
    ),
    "frozen": StrategySpec(
        "the first task's network, kept as it is; forgets nothing and learns nothing",
        plugin="clbench.strategies.frozen:Frozen",
        reference=True,
    ),
    "l2": StrategySpec(
        "a pull to the weights of the previous task",
        plugin="clbench.strategies.l2:L2",
        penalty="weight",
        needs_past=True,
    ),
    "ewc": StrategySpec(
        "elastic weight consolidation: Fisher-weighted pull to earlier weights",
        plugin="clbench.strategies.ewc:EWC",
        penalty="weight",
        needs_past=True,
    ),
    "si": StrategySpec(
        "synaptic intelligence: pull weighted by what each weight contributed to the fall of the loss",
        plugin="clbench.strategies.si:SI",
        penalty="weight",
        needs_past=True,
    ),
    "mas": StrategySpec(
        "memory aware synapses: pull weighted by how much the output depends on each weight",
        plugin="clbench.strategies.mas:MAS",
        penalty="weight",
        needs_past=True,
    ),
    "rwalk": StrategySpec(
        "Riemannian walk: pull weighted by Fisher information and path score, both gathered while training",
        plugin="clbench.strategies.rwalk:RWalk",
        penalty="weight",
        needs_past=True,
    ),
    "lwf": StrategySpec(
        "learning without forgetting: the previous network's predictions on the new task's images",
        plugin="clbench.strategies.lwf:LwF",
        penalty="weight",
        needs_past=True,
        family="distillation",
    ),
    "pod": StrategySpec(
        "local pooled outputs distillation: the previous network's feature maps on the new task's images",
        plugin="clbench.strategies.pod:POD",
        penalty="weight",
        needs_past=True,
        family="distillation",
    ),
    "mib": StrategySpec(
        "modeling the background: unbiased cross-entropy and distillation, for class-incremental streams",
        plugin="clbench.strategies.mib:MiB",
        needs_past=True,
        replaces_loss=True,
        family="distillation",
    ),
    "plop": StrategySpec(
        "local POD and the previous network's pseudo-labels, for class-incremental streams",
        plugin="clbench.strategies.plop:PLOP",
        needs_past=True,
        replaces_loss=True,
        family="distillation",
    ),
    "segreg": StrategySpec(
        "SIGReg on U-Net feature maps: latent features pulled to an isotropic Gaussian",
        plugin="clbench.strategies.segreg:SegReg",
        penalty="weight",
        family="latent",
    ),
    "vicreg": StrategySpec(
        "VICReg on feature maps: channels varied and uncorrelated",
        plugin="clbench.strategies.vicreg:VICReg",
        penalty="weight",
        family="latent",
    ),
    "dispersive": StrategySpec(
        "dispersive loss on feature maps: voxel embeddings pushed apart",
        plugin="clbench.strategies.dispersive:Dispersive",
        penalty="weight",
        family="latent",
    ),
    "selfreg": StrategySpec(
        "SelfReg-UNet's losses: levels like the last one, weak channels like strong ones",
        plugin="clbench.strategies.selfreg:SelfReg",
        penalty="weight",
        family="latent",
    ),
    "med-disseg": StrategySpec(
        "Med-DisSeg-style: its network with the dispersive loss built in",
        plugin="clbench.strategies.med_disseg:MedDisSeg",
        penalty="weight",
        family="latent",
        network="med-disseg",
    ),
    "l2gnet": StrategySpec(
        "L2GNet-style: its network with the commitment loss of its codebook",
        plugin="clbench.strategies.l2gnet:L2GNet",
        penalty="weight",
        family="latent",
        network="l2gnet",
    ),
    "replay": StrategySpec(
        "patches of remembered cases join every batch",
        plugin="clbench.strategies.replay:Replay",
        needs_past=True,
        replaces_loss=True,
        family="rehearsal",
    ),
    "der": StrategySpec(
        "dark experience replay: held to the logits it gave for earlier patches",
        plugin="clbench.strategies.der:DER",
        needs_past=True,
        replaces_loss=True,
        family="rehearsal",
    ),
    "derpp": StrategySpec(
        "dark experience replay with the masks of earlier patches as well (DER++)",
        plugin="clbench.strategies.derpp:DERPP",
        needs_past=True,
        replaces_loss=True,
        family="rehearsal",
    ),
    "fdr": StrategySpec(
        "function distance regularization: held to its finished predictions for patches of earlier tasks",
        plugin="clbench.strategies.fdr:FDR",
        needs_past=True,
        replaces_loss=True,
        family="rehearsal",
    ),
    "gss": StrategySpec(
        "replay of cases chosen for gradients that differ (GSS-Greedy)",
        plugin="clbench.strategies.gss:GSS",
        needs_past=True,
        replaces_loss=True,
        family="rehearsal",
    ),
    "agem": StrategySpec(
        "gradients projected off those of remembered cases on average (A-GEM)",
        plugin="clbench.strategies.agem:AGEM",
        needs_past=True,
        replaces_loss=True,
        family="projection",
    ),
    "gem": StrategySpec(
        "gradients projected off those of remembered cases of each task (GEM)",
        plugin="clbench.strategies.gem:GEM",
        needs_past=True,
        replaces_loss=True,
        family="projection",
    ),
    "gpm": StrategySpec(
        "weights move at right angles to the inputs of earlier tasks (gradient projection memory)",
        plugin="clbench.strategies.gpm:GPM",
        needs_past=True,
        family="projection",
    ),
    "pnn": StrategySpec(
        "a network for each task with connections from those before it (progressive network); told the task",
        plugin="clbench.strategies.pnn:PNN",
        needs_past=True,
        task_identity=True,
        family="architecture",
    ),
    "dan": StrategySpec(
        "the first task's filters, mixed anew for each later task (deep adaptation); told the task",
        plugin="clbench.strategies.dan:DAN",
        needs_past=True,
        task_identity=True,
        family="architecture",
    ),
}
