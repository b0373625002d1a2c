"""The mixture of :mod:`geoalps.labeling.mixture` as a network, after DeepDPM (Ronen, Finder and Freifeld 2022).

A small network says to which of K clusters a point belongs. It learns the responsibilities of Gaussians, whose means
and covariances follow from what it says. For each cluster another network cuts the points in two. Now and then the
cuts are proposed as splits, and neighbours as merges; the Hastings ratios of :mod:`geoalps.models.niw` accept or refuse
them, and the networks' last layers grow or shrink.

The published numbers are the defaults of :class:`Settings`. Three things differ. Gaussians follow from the cluster that
each point is given, not from shares of it. An epoch is at least 20 batches, since a scene may have few hundred objects
and the published one was 60 000 images. And it begins where the published one trains its cuts: one cluster has nothing
to learn before.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from geoalps.errors import OptionError
from geoalps.models.devices import resolve_device
from geoalps.models.niw import NIW, Float, Int, Moments, log_density
from geoalps.training.seeding import seeded


@dataclass(frozen=True)
class Settings:
    """How long and how fast the networks learn; DeepDPM's numbers."""

    hidden: int = 50
    """Units of the one hidden layer."""
    batch: int = 128
    """Points a step."""
    epochs: int = 500
    """Until the end."""
    cuts_from: int = 45
    """First epoch in which the cuts learn, and here the first of all."""
    proposals_from: int = 55
    """First epoch that begins with proposals."""
    every: int = 10
    """Epochs between proposals: splits and merges take turns."""
    frozen: int = 5
    """Epochs after a change in which the Gaussians stay as they are."""
    rate: float = 5e-4
    """Adam's learning rate for the clusters."""
    cut_rate: float = 5e-3
    """Adam's learning rate for the cuts."""
    alpha: float = 10.0
    """Concentration of the Dirichlet process."""
    smallest: int = 5
    """A split with a child of so few points is refused."""
    least_steps: int = 20
    """Batches that an epoch has at least."""


DEFAULTS = Settings()


class _Nets(nn.Module):
    """A network over K clusters, and one for each cluster that cuts it in two."""

    def __init__(self, channels: int, hidden: int) -> None:
        """Of one cluster."""
        super().__init__()
        self.hidden, self.last = nn.Linear(channels, hidden), nn.Linear(hidden, 1)
        self.shape = (channels, hidden)
        self.renew_cuts(1)

    def forward(self, x: Tensor) -> Tensor:
        """(b, K) logits of the clusters of (b, channels) points."""
        logits: Tensor = self.last(functional.leaky_relu(self.hidden(x)))
        return logits

    def cut(self, x: Tensor, group: Tensor) -> Tensor:
        """(b, 2) logits of the two sides of each point's cluster ``group`` (b,)."""
        inner = functional.leaky_relu(torch.einsum("bc,kch->bkh", x, self.first_cut))
        sides = torch.einsum("bkh,khs->bks", inner, self.last_cut) + self.side
        return sides[torch.arange(len(x), device=x.device), group]

    def renew_cuts(self, k: int) -> None:
        """Networks that know nothing yet, for k clusters."""
        (channels, hidden), where = self.shape, self.last.weight.device
        self.first_cut = nn.Parameter(torch.randn(k, channels, hidden, device=where) / math.sqrt(channels))
        self.last_cut = nn.Parameter(0.1 * torch.randn(k, hidden, 2, device=where) / math.sqrt(hidden))
        self.side = nn.Parameter(torch.zeros(k, 2, device=where))

    @torch.no_grad()
    def follow(self, parents: list[int]) -> None:
        """The last layer has a row for each cluster that there is now: a little other than that of its parent."""
        weight, bias = self.last.weight[parents], self.last.bias[parents]
        self.last = nn.Linear(weight.shape[1], len(parents), device=weight.device)
        self.last.weight.copy_(weight + 0.01 * torch.randn_like(weight))
        self.last.bias.copy_(bias)
        self.renew_cuts(len(parents))


class _Learner:
    """The networks, the Gaussians that follow from them, and the data; mutable, one for each fit."""

    def __init__(self, x: Float, prior: NIW, settings: Settings, device: torch.device) -> None:
        """One cluster of all (n, d) points."""
        self.x, self.prior, self.settings, self.device = x, prior, settings, device
        # of unit spread, or the networks would be sure of what they do not know yet, and learn no more
        self.scale = float(x.std()) or 1.0
        self.points = torch.tensor(x / self.scale, dtype=torch.float32, device=device)
        self.nets = _Nets(x.shape[1], settings.hidden).to(device)
        self.become(np.zeros(len(x), np.int64), [0])

    def become(self, group: Int, parents: list[int]) -> None:
        """Go on with the clusters of ``group`` (n,), each with the row of its parent in the last layer."""
        self.moments = Moments.of(self.x, group, len(parents))
        self.nets.follow(parents)
        self.centres = torch.stack([self._halves(group == number) for number in range(len(parents))])
        clusters = [*self.nets.hidden.parameters(), *self.nets.last.parameters()]
        cuts = [self.nets.first_cut, self.nets.last_cut, self.nets.side]
        self.optimiser = torch.optim.Adam(
            [{"params": clusters, "lr": self.settings.rate}, {"params": cuts, "lr": self.settings.cut_rate}]
        )

    def _halves(self, mine: NDArray[np.bool_]) -> Tensor:
        """(2, d) centres to begin with: 2-means along the longest axis of a cluster."""
        x = self.x[mine]
        along = (x - x.mean(0)) @ np.linalg.svd(x - x.mean(0), full_matrices=False)[2][0]
        low, high = along.min(), along.max()
        for _ in range(20):
            right = np.abs(along - high) < np.abs(along - low)
            if right.all() or not right.any():
                right = np.arange(len(x)) % 2 == 1
                break
            low, high = along[~right].mean(), along[right].mean()
        halves = np.stack([x[side].mean(0) if side.any() else x.mean(0) for side in (~right, right)])
        return torch.tensor(halves / self.scale, dtype=torch.float32, device=self.device)

    def epoch(self) -> None:
        """All points several times: clusters learn the Gaussians' responsibilities, cuts learn 2-means."""
        told = log_density(self.x, *self.prior.expected(self.moments)) + np.log(np.maximum(self.moments.count, 1e-9))
        wanted = torch.softmax(torch.tensor(told), 1).float().to(self.device)  # a Mac's device has no float64
        size = self.settings.batch
        for _ in range(math.ceil(self.settings.least_steps * size / max(len(self.x), size))):
            for rows in torch.split(torch.randperm(len(self.x)).to(self.device), size):
                x = self.points[rows]
                logits = self.nets(x)
                group = logits.argmax(1).detach()
                sides = torch.softmax(self.nets.cut(x, group), 1)
                distance = ((x[:, None] - self.centres[group]) ** 2).sum(2)
                loss = functional.kl_div(torch.log_softmax(logits, 1), wanted[rows], reduction="batchmean")
                loss = loss + (sides * distance).sum(1).mean()
                self.optimiser.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]
                self.optimiser.step()

    @torch.no_grad()
    def told(self) -> tuple[Int, Int]:
        """(n,) cluster and (n,) side of the cut of every point, as the networks say."""
        group = self.nets(self.points).argmax(1)
        parts = [
            self.nets.cut(x, mine).argmax(1)
            for x, mine in zip(torch.split(self.points, 4096), torch.split(group, 4096), strict=True)
        ]
        return group.cpu().numpy(), torch.cat(parts).cpu().numpy()

    def refit(self) -> None:
        """Gaussians and the centres of the cuts follow from what the networks say; empty ones stay."""
        group, side = self.told()
        moments = Moments.of(self.x, group, len(self.moments.count))
        there = moments.count > 0
        mean = np.where(there[:, None], moments.mean, self.moments.mean)
        scatter = np.where(there[:, None, None], moments.scatter, self.moments.scatter)
        self.moments = Moments(moments.count, mean, scatter)
        halves = Moments.of(self.x, 2 * group + side, 2 * len(there))
        centres = torch.tensor(halves.mean / self.scale, dtype=torch.float32, device=self.device)
        full = torch.tensor(halves.count > 0, device=self.device)[:, None]
        self.centres = torch.where(full, centres, self.centres.flatten(0, 1)).view_as(self.centres)

    def split(self) -> bool:
        """Every cluster whose cut is accepted becomes two; whether any was."""
        group, side = self.told()
        k, parents = len(self.moments.count), list(range(len(self.moments.count)))
        halves = Moments.of(self.x, 2 * group + side, 2 * k)
        able = np.flatnonzero(halves.count.reshape(k, 2).min(1) > self.settings.smallest)
        ratio = self.prior.log_split(halves.take(2 * able), halves.take(2 * able + 1), self.settings.alpha)
        for number in able[ratio > 0]:
            group[(group == number) & (side == 1)] = len(parents)
            parents.append(int(number))
        return self._change(group, parents, len(parents) > k)

    def merge(self) -> bool:
        """Pairs of clusters become one, the best pair first, until none is accepted; whether any did."""
        group, changed = self.told()[0], False
        names = np.unique(group)
        while len(names) > 1:
            moments = Moments.of(self.x, group, int(names.max()) + 1)
            one, other = (names[index] for index in np.triu_indices(len(names), 1))
            ratio = -self.prior.log_split(moments.take(one), moments.take(other), self.settings.alpha)
            best = int(ratio.argmax())
            if ratio[best] <= 0:
                break
            group[group == other[best]] = one[best]
            names, changed = np.unique(group), True
        return self._change(group, list(range(len(self.moments.count))), changed)

    def _change(self, group: Int, parents: list[int], changed: bool) -> bool:
        """Take over new clusters, if there was a change or one has lost all its points."""
        names, dense = np.unique(group, return_inverse=True)
        if changed or len(names) < len(parents):
            self.become(dense.astype(np.int64), [parents[name] for name in names])
        return changed


def fit(x: Float, prior: NIW, seed: int = 0, *, settings: Settings = DEFAULTS, device: str = "cpu") -> Moments:
    """Clusters of points by networks that split and merge.

    Args:
        x: (n, d) float64.
        prior: over every cluster's mean and covariance.
        seed: of the weights and the order of the points.
        settings: how long and how fast they learn.
        device: where they do; on a processor a seed gives the same result again.

    Returns:
        Moments of the clusters.

    Raises:
        OptionError: no points, values that are not finite or not of the prior's dimension; an unknown device.
    """
    d = len(prior.mean)
    if x.ndim != 2 or not len(x) or x.shape[1] != d or not np.isfinite(x).all():
        raise OptionError(f"the network got values of shape {x.shape}; it takes at least one row of {d} finite numbers")
    with seeded(seed, 1):
        learner = _Learner(x, prior, settings, resolve_device(device))
        changed_at = settings.cuts_from
        for epoch in range(settings.cuts_from, settings.epochs):
            turn, rest = divmod(epoch - settings.proposals_from, settings.every)
            if turn >= 0 and rest == 0 and (learner.merge() if turn % 2 else learner.split()):
                changed_at = epoch
            learner.epoch()
            if epoch - changed_at >= settings.frozen:
                learner.refit()
        learner.merge()
        names, dense = np.unique(learner.told()[0], return_inverse=True)
        return Moments.of(x, dense.astype(np.int64), len(names))
