"""A small remote heart-rate (rPPG) network, as a team would write it and as an NPU wants it.

Both networks take 72 planes of 36x36 pixels (8 instants x 3 regions of the face x 3 colours) and
return one heart rate in beats per minute. ``RPPG6D`` is the natural way to write it: it views the
input as six axes and runs the convolutions on a batch of 24 patches. ``RPPGClean`` computes the
same with the patches folded into channel groups: no tensor above four axes, batch 1 everywhere.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

T, ROI, C = 8, 3, 3  # instants, regions of interest, colours
PATCHES = T * ROI


def spatial_layers(groups: int) -> nn.Sequential:
    """Return the per-patch feature extractor, ``groups`` patches side by side in the channels."""

    def block(channels_in: int, channels_out: int, *, pool: bool) -> list[nn.Module]:
        layers: list[nn.Module] = [
            nn.Conv2d(groups * channels_in, groups * channels_out, 3, padding=1, groups=groups),
            nn.BatchNorm2d(groups * channels_out),
            nn.ReLU(),
        ]
        return [*layers, nn.MaxPool2d(2)] if pool else layers

    return nn.Sequential(
        *block(C, 16, pool=True),
        *block(16, 32, pool=True),
        *block(32, 16, pool=False),
        nn.AdaptiveAvgPool2d(1),
    )


def temporal_layers() -> nn.Sequential:
    """Return the layers that see all instants: (1, 48, 8) -> (1, 16, 8)."""
    return nn.Sequential(
        nn.Conv1d(48, 32, 3, padding=1), nn.ReLU(), nn.Conv1d(32, 16, 3, padding=1), nn.ReLU()
    )


def head_layers() -> nn.Sequential:
    """Return the regressor: (1, 128) -> (1, 1)."""
    return nn.Sequential(nn.Linear(16 * T, 32), nn.ReLU(), nn.Linear(32, 1))


class RPPG6D(nn.Module):
    """The network as first written: six axes, and convolutions on a batch of 24."""

    def __init__(self) -> None:
        """Build the layers."""
        super().__init__()
        self.spatial = spatial_layers(groups=1)
        self.temporal = temporal_layers()
        self.head = head_layers()

    def forward(self, x: Tensor) -> Tensor:
        """Map float32[B, 72, 36, 36] to float32[B, 1], in beats per minute."""
        B, _, H, W = x.shape
        x = x.view(B, 8, 3, 3, 36, 36)  # (B, T, ROI, C, H, W)
        x = x.permute(0, 1, 2, 4, 5, 3)  # (B, T, ROI, H, W, C)
        x = x.permute(0, 1, 2, 5, 3, 4).contiguous()  # channels first again, for the convolutions
        x = x.view(B * T * ROI, C, H, W)  # (24, 3, 36, 36) when B = 1
        spatial_feats = self.spatial(x)
        feats = spatial_feats.squeeze(-1).squeeze(-1)  # (24, 16)
        feats = feats.view(B, T, ROI * 16).transpose(1, 2)  # (B, 48, 8)
        feats = self.temporal(feats).flatten(1)  # (B, 128)
        return torch.sigmoid(self.head(feats)) * 150 + 30


class RPPGClean(nn.Module):
    """The same network for an accelerator: 24 channel groups instead of a batch of 24."""

    def __init__(self) -> None:
        """Build the layers."""
        super().__init__()
        self.spatial = spatial_layers(groups=PATCHES)
        self.temporal = temporal_layers()
        self.head = head_layers()

    def forward(self, x: Tensor) -> Tensor:
        """Map float32[1, 72, 36, 36] to float32[1, 1], in beats per minute."""
        feats = self.spatial(x).reshape(1, T, ROI * 16).transpose(1, 2)  # (1, 48, 8)
        feats = self.temporal(feats).reshape(1, 16 * T)
        return torch.sigmoid(self.head(feats)) * 150 + 30


def clean_twin(model: RPPG6D) -> RPPGClean:
    """Return the clean network with the weights of the other one: each group is a copy."""
    twin = RPPGClean()
    twin.temporal.load_state_dict(model.temporal.state_dict())
    twin.head.load_state_dict(model.head.state_dict())
    state = {
        name: value if value.dim() == 0 else value.repeat(PATCHES, *[1] * (value.dim() - 1))
        for name, value in model.spatial.state_dict().items()
    }
    twin.spatial.load_state_dict(state)
    return twin.eval()
