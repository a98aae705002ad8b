# SPDX-License-Identifier: Apache-2.0
"""`make benchmark-accuracy`: every method on every format of 3 or 4 bits alike, and what calibration's length changes (SLAC).

    python -m benchmarks.accuracy [MODEL] [--text FILE] [--windows N] [--variant NAME ...] [--method NAME ...]
        [--outliers SEED] [--only grid|loss|slac] [--out DIR]

MODEL is a directory or hub name, by default the shipped checkpoint. The grid is measured in KL divergence to the unquantized
model. Two formats meet on the same windows, so that the standard error of their difference is that of the windows' differences:
a difference is called clear where it exceeds two of them. That is the noise of the test text, not that of the calibration.
Methods with and without clipping are counted apart, as they turn out differently, and the best of all methods meet, too.
AQAS is measured with and without quantized activations in its loss, which is what it adds to AWQ by the reference paper
(arXiv 2311.05161, section 3.2). The paper's claim on SLAC (section 3.3) is measured as it is stated: calibrated at each
length, used at a short and at the full length, over several draws of the calibration windows, beside how far the activations
reach at each length. As many tokens in shorter windows come from more places of the text; what that brings by itself shows
beside the windows of full length, cut to each length.

An interrupted run goes on where it was: each quantization's measurements are a file in DIR/cells, and the scales that
several of them share are in DIR/unfinished.
"""

from quant.console import yield_when_idle

yield_when_idle()  # before any module here loads torch
