"""The notebooks' panels, one file a notebook; `course.panel` is what they stand on."""

from melodylab.course.panel import DPI, Panel, Picture, show
from melodylab.course.panels.crnn import crnn_panel
from melodylab.course.panels.drums import ToggleGrid, step_panel
from melodylab.course.panels.ftanet import attention_panel
from melodylab.course.panels.masking import mixing_desk
from melodylab.course.panels.multires import filter_panel
from melodylab.course.panels.representations import representation_panel
from melodylab.course.panels.source_filter_nmf import sfnmf_panel
from melodylab.course.panels.tour import revoiced, threshold_panel
from melodylab.course.panels.train import LiveLoss, training_panel

__all__ = [
    "DPI",
    "LiveLoss",
    "Panel",
    "Picture",
    "ToggleGrid",
    "attention_panel",
    "crnn_panel",
    "filter_panel",
    "mixing_desk",
    "representation_panel",
    "revoiced",
    "sfnmf_panel",
    "show",
    "step_panel",
    "threshold_panel",
    "training_panel",
]
