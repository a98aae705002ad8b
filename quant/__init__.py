# SPDX-License-Identifier: Apache-2.0
"""Post-training quantization of decoder language models to W4A8: calibration, scaling, rounding, evaluation, operands.

Nothing is imported here, so that the command line can look at this package without loading torch. The parts:

| module | idea |
|---|---|
| `adapter`, `opt`, `llama`, `models` | which layers produce and consume channels, as data per family; loading, checking |
| `scheme`, `weights`, `activations`, `layers` | codes, 8-bit activations, the linear layer with exact integer accumulators |
| `integers` | the same accumulators by the processor's 8-bit products |
| `calibration`, `scaling` | calibration windows (SLAC), channel scaling by any method |
| `block`, `smoothquant`, `awq`, `aqas` | what a method looks at and decides by, and the methods |
| `values`, `attention` | the attention's value tensor in few bits, the attention's own products in INT8 |
| `clipping`, `optq`, `layerwise` | the range of the weights, rounding with compensation, the pass through the layers for both |
| `recipe`, `recipes` | every choice of a quantization as data, and the model quantized by it; recipes as TOML |
| `streaming`, `streamed`, `tensor_files` | models larger than memory, quantized layer by layer into files |
| `kept`, `stopwatch` | what is finished, for an interrupted run; time by stage |
| `evaluation`, `output_error`, `comparison`, `draws` | perplexity and KL divergence on named texts; output error by cause |
| `word_perplexity`, `harness`, `code_use`, `outliers` | lm-eval's perplexity and tasks; use of codes; made outliers |
| `huggingface`, `plugin`, `export` | Hugging Face directories, operand files |
| `command`, `operands_command`, `console`, `failures` | the sub-commands quantize and operands, what surrounds every one |
| `evaluate_command`, `table3`, `paper_differences`, `compressed_tensors` | the sub-commands evaluate, table3 and export |
| `corpus`, `texts`, `training` | Python's documentation, other texts, the script that trained the shipped checkpoint |
"""
